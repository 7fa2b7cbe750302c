#include "server/listen_address.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace groupnorm {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

absl::StatusOr<ListenAddress> BadAddress(std::string_view text,
                                         const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("--listen: '", absl::string_view(text.data(), text.size()),
                   "', expected ", expected));
}

// Whether a process may still use a UNIX socket: only a connection that is
// refused says that none does. A full backlog, a socket of another type or a
// missing permission do not; a connection that would wait does not wait.
bool IsInUse(const std::string& path) {
  const int fd =
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const bool refused =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) != 0 &&
      (errno == ECONNREFUSED || errno == ENOENT);
  ::close(fd);
  return !refused;
}

}  // namespace

absl::StatusOr<ListenAddress> ListenAddress::Parse(std::string_view text) {
  ListenAddress address;
  address.text_ = std::string(text);
  if (text.starts_with(kUnixPrefix)) {
    address.path_ = std::string(text.substr(kUnixPrefix.size()));
    if (address.path_.empty() ||
        address.path_.size() >= sizeof(sockaddr_un::sun_path)) {
      return BadAddress(text, "unix: and a path of 1 to 107 bytes");
    }
    return address;
  }
  const std::size_t colon = text.rfind(':');
  int port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(
          absl::string_view(text.data() + colon + 1, text.size() - colon - 1),
          &port) ||
      port < 0 || port > 65535) {
    return BadAddress(text,
                      "host:port with a port of 0 to 65535, or unix:path");
  }
  address.host_ = std::string(text.substr(0, colon));
  const bool bracketed =
      address.host_.front() == '[' && address.host_.back() == ']';
  if (!bracketed && address.host_.find(':') != std::string::npos) {
    return BadAddress(text, "an IPv6 address in brackets, as in [::1]:50051");
  }
  return address;
}

bool ListenAddress::is_local() const {
  return !path_.empty() || host_ == "localhost" || host_ == "[::1]" ||
         // Digits and dots only, so that a name such as 127.example.org is not.
         (absl::StartsWith(host_, "127.") &&
          host_.find_first_not_of("0123456789.") == std::string::npos);
}

std::string ListenAddress::WithPort(int port) const {
  return path_.empty() ? absl::StrCat(host_, ":", port) : text_;
}

const char* ListenAddress::QuestionIfNotBound() const {
  return path_.empty()
             ? "is it in use, or not an address of this machine?"
             : "does its directory exist, and may this process write there?";
}

absl::Status ListenAddress::RemoveStaleSocket() const {
  struct stat status = {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) {
    return absl::OkStatus();
  }
  if (!S_ISSOCK(status.st_mode)) {
    return absl::UnavailableError(
        absl::StrCat("--listen: ", text_, " exists and is not a socket"));
  }
  if (IsInUse(path_)) {
    return absl::UnavailableError(
        absl::StrCat("--listen: ", text_, " is in use by another process"));
  }
  ::unlink(path_.c_str());
  return absl::OkStatus();
}

}  // namespace groupnorm
