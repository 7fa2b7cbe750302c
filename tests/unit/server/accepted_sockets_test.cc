#include "server/accepted_sockets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/server_process.h"

namespace groupnorm {
namespace {

// A connection over a UNIX socket, both ends in this process.
class AcceptedSocketsTest : public ::testing::Test {
 protected:
  AcceptedSocketsTest() {
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listener, Address(), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    EXPECT_EQ(::connect(connected, Address(), sizeof(address)), 0);
    accepted = ::accept(listener, nullptr, nullptr);
    EXPECT_GE(accepted, 0);
  }

  ~AcceptedSocketsTest() override {
    for (const int fd : {listener, connected, accepted}) ::close(fd);
    ::unlink(path.c_str());
  }

  std::string Peer() const {
    return absl::StrCat("unix-abstract:", UnixPeerName(accepted));
  }

  void Fill() const {
    ::fcntl(accepted, F_SETFL, O_NONBLOCK);
    const std::array<char, 4096> bytes = {};
    while (::write(accepted, bytes.data(), bytes.size()) > 0) {
    }
  }

  // Whether the peer, once it has read everything, finds the end.
  bool IsClosed() const {
    ::fcntl(connected, F_SETFL, O_NONBLOCK);
    std::array<char, 4096> bytes = {};
    ssize_t read = 0;
    do {
      read = ::read(connected, bytes.data(), bytes.size());
    } while (read > 0);
    return read == 0;
  }

  const sockaddr* Address() const {
    return reinterpret_cast<const sockaddr*>(&address);
  }

  const std::string path = UniquePath(".sock");
  sockaddr_un address = {};
  int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int connected = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int accepted = -1;
};

TEST_F(AcceptedSocketsTest, AreClosedWhereThePeerDoesNotRead) {
  Fill();
  EXPECT_TRUE(CloseIfPeerDoesNotRead(Peer()));
  EXPECT_TRUE(IsClosed());
}

TEST_F(AcceptedSocketsTest, StayOpenWhereThereIsRoom) {
  EXPECT_FALSE(CloseIfPeerDoesNotRead(Peer()));
  EXPECT_FALSE(IsClosed());
}

TEST_F(AcceptedSocketsTest, AreNotTakenForOthersOfTheirNumber) {
  Fill();
  const std::string peer = Peer();
  const std::string other = peer + "0";
  EXPECT_FALSE(CloseIfPeerDoesNotRead(other));
  for (const char* no_peer :
       {"", "unix:", "ipv4:127.0.0.1:50051", "unix-abstract:groupnorm-",
        "unix-abstract:groupnorm-1", "unix-abstract:groupnorm-1-x",
        "unix-abstract:other-1-1", "unix-abstract:groupnorm-999999-1"}) {
    EXPECT_FALSE(CloseIfPeerDoesNotRead(no_peer)) << no_peer;
  }
  EXPECT_FALSE(IsClosed());
}

TEST_F(AcceptedSocketsTest, AreClosedWithAllOfTheirListener) {
  CloseConnectionsTo({.paths = {path + "x"}, .ports = {1}});
  EXPECT_FALSE(IsClosed());
  CloseConnectionsTo({.paths = {path}, .ports = {}});
  EXPECT_TRUE(IsClosed());
  // The listener is not one of them.
  const int next = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(next, Address(), sizeof(address)), 0);
  ::close(next);
}

}  // namespace
}  // namespace groupnorm
