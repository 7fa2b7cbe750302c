#include "server/descriptors.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

namespace groupnorm {
namespace {

// gRPC 1.51 opens some 5 of its own, and aborts the process or reports that an
// address is taken where it cannot. The others are for connections: with fewer
// the server would do little but refuse.
constexpr std::size_t kBesideListeners = 16;

// A name such as localhost has an IPv4 and an IPv6 address.
constexpr std::size_t kForEachAddress = 2;

}  // namespace

absl::Status CheckDescriptors(std::size_t addresses) {
  const std::size_t needed = kBesideListeners + kForEachAddress * addresses;
  std::vector<int> opened;
  opened.reserve(needed);
  int error = 0;
  while (opened.size() < needed && error == 0) {
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    if (fd >= 0) {
      opened.push_back(fd);
    } else {
      error = errno;
    }
  }
  for (const int fd : opened) ::close(fd);
  if (error == 0) return absl::OkStatus();
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return absl::ResourceExhaustedError(absl::StrCat(
      "server: ", needed, " more file descriptors are needed, ", opened.size(),
      " could be opened (", std::generic_category().message(error),
      "); raise the limit on open files (ulimit -n), now ", limit.rlim_cur));
}

}  // namespace groupnorm
