#include "tests/unit/client/lost_servers.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"

namespace groupnorm {

TemporaryDirectory::TemporaryDirectory()
    : path_(::testing::TempDir() + "/client-XXXXXX") {
  EXPECT_NE(mkdtemp(path_.data()), nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::filesystem::remove_all(path_);
}

std::string TemporaryDirectory::unix_address(const std::string& name) const {
  return absl::StrCat("unix:", path_, "/", name);
}

ReservedPort::ReservedPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(name);
  auto* const generic = reinterpret_cast<sockaddr*>(&name);
  EXPECT_EQ(bind(socket_, generic, size), 0);
  EXPECT_EQ(getsockname(socket_, generic, &size), 0);
  port_ = ntohs(name.sin_port);
}

ReservedPort::~ReservedPort() { close(socket_); }

std::string ReservedPort::address() const {
  return absl::StrCat("127.0.0.1:", port_);
}

void ReservedPort::Listen() { EXPECT_EQ(listen(socket_, 16), 0); }

void CutConnections(int port) {
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    sockaddr_in own{}, peer{};
    socklen_t size = sizeof(own);
    if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) != 0)
      continue;
    size = sizeof(peer);
    const bool connected =
        getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    if (connected && ntohs(own.sin_port) == port) {
      shutdown(descriptor, SHUT_RDWR);
    }
  }
}

}  // namespace groupnorm
