#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

void ExpectToServe(const std::string& address) {
  v1::ForwardResponse response;
  EXPECT_THAT(CallForward(Connect(address), SmallForwardRequest(), &response),
              Succeeds());
}

TEST(Startup, PrintsTheAddressesThatWereBound) {
  const std::string path = UniquePath(".sock");
  ServerProcess server({"--listen=127.0.0.1:0", "--listen=unix:" + path});
  EXPECT_THAT(server.ready_line(),
              MatchesRegex("groupnorm-server listening on "
                           "127\\.0\\.0\\.1:[1-9][0-9]* unix:" +
                           path));
  for (const std::string& address : server.addresses()) ExpectToServe(address);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_EQ(server.output(), "");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Startup, TakesOptionsFromTheEnvironment) {
  ServerProcess server(
      {}, {"GROUPNORM_LISTEN=127.0.0.1:0", "GROUPNORM_MAX_MESSAGE_BYTES=1KiB"});
  v1::ForwardRequest request = SmallForwardRequest();
  *request.mutable_bias() = RandomTensor(DataType::kFloat64, {200}, 1);
  v1::ForwardResponse response;
  EXPECT_EQ(CallForward(Connect(server.addresses().front()), request, &response)
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(Startup, WarnsOfSettingsBeyondTheMemoryThatThereIs) {
  ServerProcess modest({"--listen=127.0.0.1:0", "--max-message-bytes=1MiB",
                        "--max-queued-bytes=2MiB"});
  ServerProcess greedy(
      {"--listen=127.0.0.1:0", "--max-queued-bytes=1048576GiB", "--workers=2"});
  for (ServerProcess* server : {&modest, &greedy}) {
    ExpectToServe(server->addresses().front());
    server->Signal(SIGTERM);
    EXPECT_EQ(server->Wait(), 0);
  }
  EXPECT_EQ(modest.CountErrors("this process may use"), 0);
  EXPECT_THAT(greedy.errors(),
              HasSubstr("[warning] memory: the settings allow 1048579.1 GiB, "
                        "this process may use "));
}

TEST(Startup, TakesOverTheSocketOfAKilledServer) {
  const std::string path = UniquePath(".sock");
  {
    ServerProcess killed({"--listen=unix:" + path});
    ASSERT_NE(killed.ready_line(), "");
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  ServerProcess next({"--listen=unix:" + path});
  ExpectToServe(next.addresses().front());
  next.Signal(SIGTERM);
  EXPECT_EQ(next.Wait(), 0);
}

// Flags that the server does not start with.
struct BadStart {
  std::string name;
  std::vector<std::string> flags;
  std::string error;
};

class BadFlags : public ::testing::TestWithParam<BadStart> {};

TEST_P(BadFlags, ExitWithTwoAndOneLine) {
  ServerProcess server(GetParam().flags);
  EXPECT_EQ(server.Wait(), 2);
  EXPECT_EQ(server.ready_line(), "");
  EXPECT_EQ(server.errors(), "groupnorm-server: " + GetParam().error + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    Startup, BadFlags,
    ::testing::Values(
        BadStart{"BareDuration",
                 {"--drain-timeout=10"},
                 "--drain-timeout: '10', expected a duration such as 10s or "
                 "500ms"},
        BadStart{"MessageTooLarge",
                 {"--max-message-bytes=2GiB"},
                 "--max-message-bytes: 2147483648, expected 1 to 2147483647"},
        BadStart{"PlaintextForOthers",
                 {"--listen=0.0.0.0:0"},
                 "--listen: '0.0.0.0:0' can be reached from other machines, "
                 "expected a loopback address or unix:path; --insecure allows "
                 "it without encryption"},
        BadStart{"SocketPathTooLong",
                 {"--listen=unix:/" + std::string(107, 'a')},
                 "--listen: 'unix:/" + std::string(107, 'a') +
                     "', expected unix: and a path of 1 to 107 bytes"},
        BadStart{"UnknownFlag",
                 {"--port=1"},
                 "The following argument was not expected: --port=1 "
                 "(groupnorm-server --help lists what there is)"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(Startup, FailsOnATcpAddressInUse) {
  ServerProcess first({"--listen=127.0.0.1:0"});
  const std::string address = first.addresses().front();
  ServerProcess second({"--listen=" + address, "--log-level=off"});
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_EQ(second.ready_line(), "");
  EXPECT_EQ(second.errors(), "groupnorm-server: --listen: " + address +
                                 " cannot be bound; is it in use, or not an "
                                 "address of this machine?\n");
  ExpectToServe(address);
}

TEST(Startup, FailsOnAUnixSocketInUse) {
  const std::string address = "unix:" + UniquePath(".sock");
  ServerProcess first({"--listen=" + address});
  ASSERT_THAT(first.addresses(), SizeIs(1));
  ServerProcess second({"--listen=" + address});
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_EQ(second.errors(), "groupnorm-server: --listen: " + address +
                                 " is in use by another process\n");
  ExpectToServe(address);
}

TEST(Startup, NamesTheSecondAddressWhereThatOneFails) {
  ServerProcess first({"--listen=127.0.0.1:0"});
  const std::string address = first.addresses().front();
  ServerProcess second({"--listen=127.0.0.1:0", "--listen=" + address});
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_THAT(second.errors(),
              HasSubstr("--listen: " + address + " cannot be bound"));
}

TEST(Startup, FailsOnAUnixSocketInAMissingDirectory) {
  const std::string address = "unix:" + UniquePath("") + "/server.sock";
  ServerProcess server({"--listen=" + address, "--log-level=off"});
  EXPECT_EQ(server.Wait(), 1);
  EXPECT_EQ(server.errors(),
            "groupnorm-server: --listen: " + address +
                " cannot be bound; does its directory exist, and may this "
                "process write there?\n");
}

// Nobody may create a file there, not even root.
TEST(Startup, FailsOnAUnixSocketInADirectoryThatIsNotWritable) {
  ServerProcess server({"--listen=unix:/proc/server.sock", "--log-level=off"});
  EXPECT_EQ(server.Wait(), 1);
  EXPECT_EQ(server.errors(),
            "groupnorm-server: --listen: unix:/proc/server.sock cannot be "
            "bound; does its directory exist, and may this process write "
            "there?\n");
}

// An address of RFC 5737, which no machine has.
TEST(Startup, FailsOnAnAddressOfAnotherMachine) {
  ServerProcess server(
      {"--listen=192.0.2.1:50051", "--insecure", "--log-level=off"});
  EXPECT_EQ(server.Wait(), 1);
  EXPECT_EQ(server.errors(),
            "groupnorm-server: --listen: 192.0.2.1:50051 cannot be bound; is "
            "it in use, or not an address of this machine?\n");
}

TEST(Startup, FailsWithTooFewDescriptorsAndNamesTheLimit) {
  // UBSan's check of types opens a pipe, before there could be a message.
  const int lowest = kSanitized ? 8 : 6;
  for (const int limit : {lowest, 12, 20}) {
    ServerProcess server({"--listen=127.0.0.1:0"}, {}, limit);
    EXPECT_EQ(server.Wait(), 1) << limit;
    EXPECT_EQ(server.ready_line(), "") << limit;
    EXPECT_THAT(server.errors(),
                MatchesRegex("groupnorm-server: server: 18 more file "
                             "descriptors are needed, [0-9]+ could be opened "
                             "\\(Too many open files\\); raise the limit on "
                             "open files \\(ulimit -n\\), now " +
                             std::to_string(limit) + "\n"));
  }
}

TEST(Startup, ServesWithFewDescriptors) {
  ServerProcess server({"--listen=127.0.0.1:0"}, {}, 64);
  ExpectToServe(server.addresses().front());
}

TEST(Startup, PrintsHelpAndVersion) {
  ServerProcess help({"--help"});
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.output(), HasSubstr("--max-message-bytes SIZE=256MiB"));
  EXPECT_THAT(help.output(), HasSubstr("Exit status: 0"));
  EXPECT_EQ(help.errors(), "");
  ServerProcess version({"--version"});
  EXPECT_EQ(version.Wait(), 0);
  EXPECT_THAT(version.ready_line(),
              MatchesRegex("groupnorm-server [0-9]+\\.[0-9]+\\.[0-9]+"));
}

TEST(Startup, AllowsPlaintextForOthersWithInsecure) {
  ServerProcess server({"--listen=0.0.0.0:0", "--insecure"});
  EXPECT_THAT(server.ready_line(), MatchesRegex("groupnorm-server listening on "
                                                "0\\.0\\.0\\.0:[1-9][0-9]*"));
}

}  // namespace
}  // namespace groupnorm
