#include "server/accepted_sockets.h"

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace groupnorm {
namespace {

constexpr char kNamePrefix[] = "groupnorm-";
constexpr char kAbstract[] = "unix-abstract:";

struct Name {
  int fd = -1;
  std::uint64_t inode = 0;  // Tells the socket from one that got its number.
};

std::optional<Name> ParsePeer(std::string_view peer) {
  absl::string_view text(peer.data(), peer.size());
  if (!absl::ConsumePrefix(&text, kAbstract) ||
      !absl::ConsumePrefix(&text, kNamePrefix)) {
    return std::nullopt;
  }
  const std::pair<absl::string_view, absl::string_view> numbers =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  Name name;
  if (!absl::SimpleAtoi(numbers.first, &name.fd) ||
      !absl::SimpleAtoi(numbers.second, &name.inode)) {
    return std::nullopt;
  }
  return name;
}

std::optional<std::uint64_t> InodeOf(int fd) {
  struct stat about = {};
  if (::fstat(fd, &about) != 0 || !S_ISSOCK(about.st_mode)) return std::nullopt;
  return about.st_ino;
}

bool HasRoom(int fd) {
  pollfd writable = {.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&writable, 1, 0) == 1;
}

bool IsOneOf(const sockaddr_storage& address,
             const ListeningSockets& listening) {
  const auto has_port = [&listening](in_port_t port) {
    return std::count(listening.ports.begin(), listening.ports.end(),
                      ntohs(port)) > 0;
  };
  switch (address.ss_family) {
    case AF_UNIX:
      return std::count(
                 listening.paths.begin(), listening.paths.end(),
                 reinterpret_cast<const sockaddr_un&>(address).sun_path) > 0;
    case AF_INET:
      return has_port(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    case AF_INET6:
      return has_port(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    default:
      return false;
  }
}

bool Listens(int fd) {
  int listens = 1;
  socklen_t length = sizeof(listens);
  ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
  return listens != 0;
}

}  // namespace

std::string UnixPeerName(int fd) {
  return absl::StrCat(kNamePrefix, fd, "-", InodeOf(fd).value_or(0));
}

bool CloseIfPeerDoesNotRead(std::string_view peer) {
  const std::optional<Name> name = ParsePeer(peer);
  if (!name.has_value() || InodeOf(name->fd) != name->inode ||
      HasRoom(name->fd)) {
    return false;
  }
  return ::shutdown(name->fd, SHUT_RDWR) == 0;
}

void CloseConnectionsTo(const ListeningSockets& listening) {
  // Not by their numbers: of those a process may have a thousand million.
  DIR* const descriptors = ::opendir("/proc/self/fd");
  if (descriptors == nullptr) return;
  while (const dirent* const entry = ::readdir(descriptors)) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
    sockaddr_storage address = {};
    socklen_t length = sizeof(address);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) ==
            0 &&
        IsOneOf(address, listening) && !Listens(fd)) {
      ::shutdown(fd, SHUT_RDWR);
    }
  }
  ::closedir(descriptors);
}

}  // namespace groupnorm
