#include "tests/load/sent_bytes.h"

#include <gtest/gtest.h>
#include <linux/tcp.h>  // Its tcp_info has counters that the C library's lacks.
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"

namespace groupnorm::load {
namespace {

// The port that the socket is connected to; 0 where it is no such socket.
int PeerPort(int fd) {
  sockaddr_in peer = {};
  socklen_t size = sizeof(peer);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 ||
      (peer.sin_family != AF_INET && peer.sin_family != AF_INET6)) {
    return 0;
  }
  return ntohs(peer.sin_port);  // At the same place in both families.
}

}  // namespace

std::int64_t SentBytes(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  std::int64_t sum = 0;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd", error)) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &fd) ||
        PeerPort(fd) != port) {
      continue;
    }
    tcp_info info = {};
    socklen_t size = sizeof(info);
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    sum += static_cast<std::int64_t>(info.tcpi_bytes_sent);
  }
  EXPECT_FALSE(error) << error.message();
  return sum;
}

}  // namespace groupnorm::load
