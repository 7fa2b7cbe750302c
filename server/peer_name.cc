// The names of peers, in the program alone.
//
// gRPC asks getpeername() who a connection is from. Callers over a UNIX socket
// are unnamed; this program has a getpeername() of its own, which gRPC's
// library calls in place of the C library's and which names them, so that their
// connections are told apart in the log, and found where they have to be closed
// (docs/adr/0014-connections-whose-peers-stop-reading.md).

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <string>

#include "server/accepted_sockets.h"

namespace groupnorm {
namespace {

// Leaves the peer unnamed where there is too little room, or no memory.
void NameUnixPeer(int fd, sockaddr* address, socklen_t room,
                  socklen_t* length) {
  try {
    const std::string name = UnixPeerName(fd);
    const std::size_t at = offsetof(sockaddr_un, sun_path) + 1;
    if (room < at + name.size()) return;
    auto* const bytes = reinterpret_cast<char*>(address);
    bytes[at - 1] = '\0';
    std::memcpy(bytes + at, name.data(), name.size());
    *length = static_cast<socklen_t>(at + name.size());
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace
}  // namespace groupnorm

// As in getpeername(2), but for peers of UNIX sockets that have no name.
extern "C" int getpeername(int fd, sockaddr* address,
                           socklen_t* length) noexcept {
  const socklen_t room = *length;
  if (::syscall(SYS_getpeername, fd, address, length) != 0) return -1;
  if (*length == sizeof(sa_family_t) && address->sa_family == AF_UNIX) {
    groupnorm::NameUnixPeer(fd, address, room, length);
  }
  return 0;
}
