#ifndef GROUPNORM_CLIENT_CLI_FILES_FILE_ERROR_H_
#define GROUPNORM_CLIENT_CLI_FILES_FILE_ERROR_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"

namespace groupnorm::cli {

/// Linux moves at most 2 GiB at once.
inline constexpr std::size_t kMaxTransferBytes = std::size_t{1} << 30;

/// errno with its text behind the path.
absl::Status FileSystemError(const std::string& path);

/// INVALID_ARGUMENT: the path, and what is wrong with it.
absl::Status FileFault(const std::string& path, const std::string& fault);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_FILE_ERROR_H_
