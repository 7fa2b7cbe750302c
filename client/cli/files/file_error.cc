#include "client/cli/files/file_error.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace groupnorm::cli {

absl::Status FileSystemError(const std::string& path) {
  const int code = errno;
  return absl::Status(absl::ErrnoToStatusCode(code),
                      absl::StrCat(path, ": ", std::strerror(code)));
}

absl::Status FileFault(const std::string& path, const std::string& fault) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", fault));
}

}  // namespace groupnorm::cli
