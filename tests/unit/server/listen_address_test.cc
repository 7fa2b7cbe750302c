#include "server/listen_address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/testing/server_process.h"

namespace groupnorm {
namespace {

std::string ErrorOf(const std::string& text) {
  const auto address = ListenAddress::Parse(text);
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(address.status().message());
}

// A socket bound to a path, listening or not.
class BoundSocket {
 public:
  BoundSocket(const std::string& path, bool listening, int type = SOCK_STREAM)
      : fd_(::socket(AF_UNIX, type, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                     sizeof(address)),
              0);
    if (listening) {
      EXPECT_EQ(::listen(fd_, 1), 0);
    }
  }
  ~BoundSocket() { ::close(fd_); }

 private:
  int fd_;
};

TEST(ListenAddress, KnowsWhatOnlyThisMachineReaches) {
  for (const char* text : {"127.0.0.1:0", "127.1.2.3:65535", "localhost:1",
                           "[::1]:50051", "unix:/run/x.sock"}) {
    EXPECT_TRUE(ListenAddress::Parse(text)->is_local()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1",
                           "127.example.org:1"}) {
    EXPECT_FALSE(ListenAddress::Parse(text)->is_local()) << text;
  }
}

TEST(ListenAddress, TellsThePortThatWasBound) {
  EXPECT_EQ(ListenAddress::Parse("[::1]:0")->WithPort(7), "[::1]:7");
  EXPECT_EQ(ListenAddress::Parse("unix:/x")->WithPort(1), "unix:/x");
}

TEST(ListenAddress, RejectsWhatIsNoAddress) {
  for (const std::string text :
       {"", "localhost", ":1", "localhost:", "localhost:http",
        "localhost:65536", "localhost:-1"}) {
    EXPECT_EQ(ErrorOf(text), "--listen: '" + text +
                                 "', expected host:port with a port of 0 to "
                                 "65535, or unix:path");
  }
  EXPECT_EQ(
      ErrorOf("::1:50051"),
      "--listen: '::1:50051', expected an IPv6 address in brackets, as in "
      "[::1]:50051");
  EXPECT_EQ(ErrorOf("unix:"),
            "--listen: 'unix:', expected unix: and a path of 1 to 107 bytes");
  const std::string long_path = "unix:/" + std::string(107, 'x');
  EXPECT_EQ(ErrorOf(long_path),
            "--listen: '" + long_path +
                "', expected unix: and a path of 1 to 107 bytes");
}

TEST(ListenAddress, RemovesTheSocketOfADeadServer) {
  const std::string path = UniquePath(".sock");
  { const BoundSocket dead(path, true); }
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(ListenAddress::Parse("unix:" + path)->RemoveStaleSocket(),
            absl::OkStatus());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ListenAddress, LeavesTheSocketOfALivingServer) {
  const std::string path = UniquePath(".sock");
  const BoundSocket living(path, true);
  EXPECT_EQ(ListenAddress::Parse("unix:" + path)->RemoveStaleSocket(),
            absl::UnavailableError("--listen: unix:" + path +
                                   " is in use by another process"));
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
}

TEST(ListenAddress, LeavesASocketOfAnotherType) {
  const std::string path = UniquePath(".sock");
  const BoundSocket datagrams(path, false, SOCK_DGRAM);
  EXPECT_EQ(ListenAddress::Parse("unix:" + path)->RemoveStaleSocket(),
            absl::UnavailableError("--listen: unix:" + path +
                                   " is in use by another process"));
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
}

TEST(ListenAddress, LeavesAFileThatIsNoSocket) {
  const std::string path = UniquePath(".txt");
  std::ofstream(path) << "text";
  EXPECT_EQ(ListenAddress::Parse("unix:" + path)->RemoveStaleSocket(),
            absl::UnavailableError("--listen: unix:" + path +
                                   " exists and is not a socket"));
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace groupnorm
