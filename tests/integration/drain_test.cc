#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using ::testing::_;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// What a caller sees whose call the server broke off: that it was cancelled, or
// that its connection is gone, whichever comes first.
auto Broken() {
  return AnyOf(FailsWith(grpc::StatusCode::CANCELLED, _),
               FailsWith(grpc::StatusCode::UNAVAILABLE, _));
}

// A connection to a server process, with calls that it has admitted and whose
// bodies it waits for.
struct ParkedCalls {
  ParkedCalls(const ServerProcess& server, int count)
      : channel(Connect(server.addresses().front())) {
    for (int i = 0; i < count; ++i) {
      calls.push_back(std::make_unique<RawCall>(channel, "Forward"));
    }
    server.AwaitErrors("admitted", count);
  }

  std::shared_ptr<grpc::Channel> channel;
  std::vector<std::unique_ptr<RawCall>> calls;
};

std::vector<std::string> FlagsWith(const std::string& drain_timeout) {
  return {"--listen=127.0.0.1:0", "--log-level=debug", "--drain-delay=0s",
          "--drain-timeout=" + drain_timeout};
}

class DrainTest : public ::testing::TestWithParam<int> {};

TEST_P(DrainTest, AnswersAllCallsInFlightAndExitsWithZero) {
  ServerProcess server(FlagsWith("300s"));
  const ParkedCalls parked(server, 6);
  server.Signal(GetParam());
  server.AwaitErrors("draining after 0 for at most", 1);

  const std::string request = SmallForwardRequest().SerializeAsString();
  for (const auto& call : parked.calls) EXPECT_TRUE(call->Send(request));
  for (const auto& call : parked.calls) {
    EXPECT_THAT(call->Finish(), Succeeds());
  }
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_THAT(server.errors(), HasSubstr("drained"));
}

INSTANTIATE_TEST_SUITE_P(Signals, DrainTest, ::testing::Values(SIGTERM, SIGINT),
                         [](const auto& param_info) {
                           return std::string(param_info.param == SIGTERM
                                                  ? "SIGTERM"
                                                  : "SIGINT");
                         });

TEST(Drain, ExitsWithZeroWhereNoCallIsInFlight) {
  ServerProcess server(FlagsWith("300s"));
  ASSERT_NE(server.ready_line(), "");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

TEST(Drain, CancelsCallsThatOutliveTheTimeout) {
  ServerProcess server(FlagsWith("1ms"));
  const ParkedCalls parked(server, 3);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 1);
  EXPECT_THAT(server.errors(),
              HasSubstr("calls were cancelled: they outlived --drain-timeout"));
  for (const auto& call : parked.calls) EXPECT_THAT(call->Finish(), Broken());
}

TEST(Drain, EndsAtOnceOnASecondSignal) {
  ServerProcess server(FlagsWith("300s"));
  const ParkedCalls parked(server, 1);
  server.Signal(SIGTERM);
  server.AwaitErrors("draining after 0 for at most", 1);
  server.Signal(SIGINT);
  EXPECT_EQ(server.Wait(), 128 + SIGINT);
}

TEST(Drain, RefusesNewCallsWithAPushback) {
  TestServer server;
  RawCall parked(server.channel(), "Forward");
  server.AwaitCallsInFlight(1);
  std::thread drain([&server] { EXPECT_TRUE(server.server().Drain()); });
  grpc::Status refusal;
  std::string pushback;
  // Calls that come before the drain has begun are still answered.
  do {
    RawCall call(server.channel(), "Forward");
    call.Send(SmallForwardRequest().SerializeAsString());
    refusal = call.Finish();
    pushback = call.TrailingMetadatum("grpc-retry-pushback-ms");
  } while (refusal.ok());
  EXPECT_THAT(refusal, FailsWith(grpc::StatusCode::UNAVAILABLE,
                                 "server: draining, expected another server"));
  EXPECT_EQ(pushback, "100");
  v1::GetServerInfoResponse info;
  EXPECT_THAT(server.GetServerInfo(&info),
              FailsWith(grpc::StatusCode::UNAVAILABLE,
                        "server: draining, expected another server"));
  EXPECT_TRUE(parked.Send(SmallForwardRequest().SerializeAsString()));
  EXPECT_THAT(parked.Finish(), Succeeds());
  drain.join();
  EXPECT_TRUE(server.server().Drain());
}

// A request that takes a while in every state: 16 MiB in and out.
std::string LargeForwardRequest() {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(4);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat32, {1, 4, 1 << 20}, 1);
  return request.SerializeAsString();
}

// One worker and one reading slot: while the drain waits, calls are reading,
// waiting for the slot, queued, computing and replying.
TEST(Drain, AnswersAdmittedCallsWhateverTheirState) {
  ServerOptions options = LoopbackOptions();
  options.workers = 1;
  options.max_reading_calls = 1;
  options.drain_timeout = absl::Minutes(5);
  TestServer server(options);
  const std::string request = LargeForwardRequest();
  RawCall replying(server.channel(), "Forward");
  ASSERT_TRUE(replying.Send(request));
  replying.AwaitReply();
  constexpr int kCalls = 6;
  std::vector<std::unique_ptr<RawCall>> calls;
  calls.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<RawCall>(server.channel(), "Forward"));
  }
  server.AwaitCallsInFlight(1 + kCalls);

  std::thread drain([&server] { EXPECT_TRUE(server.server().Drain()); });
  grpc::Status refusal;
  do {
    v1::GetServerInfoResponse info;
    refusal = server.GetServerInfo(&info);
  } while (refusal.ok());
  std::vector<std::thread> senders;
  senders.reserve(kCalls);
  for (const auto& call : calls) {
    senders.emplace_back([&call, &request] {
      EXPECT_TRUE(call->Send(request));
      EXPECT_THAT(call->Finish(), Succeeds());
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_THAT(replying.Finish(), Succeeds());
  drain.join();
}

TEST(Drain, TellsThatCallsWereCancelled) {
  ServerOptions options = LoopbackOptions();
  options.drain_timeout = absl::ZeroDuration();
  TestServer server(options);
  RawCall parked(server.channel(), "Backward");
  server.AwaitCallsInFlight(1);
  EXPECT_FALSE(server.server().Drain());
  EXPECT_FALSE(server.server().Drain());
  EXPECT_THAT(parked.Finish(), Broken());
}

// A client that has said hello and nothing since.
class FrozenClient {
 public:
  explicit FrozenClient(const std::string& socket_path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address),
                        sizeof(address)),
              0);
    // The preface of HTTP/2 and an empty SETTINGS frame.
    const std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                              std::string("\0\0\0\4\0\0\0\0", 8) +
                              std::string(1, '\0');
    EXPECT_EQ(::send(fd_, hello.data(), hello.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(hello.size()));
    // The server's own SETTINGS: it has taken the connection on.
    char byte = 0;
    EXPECT_EQ(::recv(fd_, &byte, 1, 0), 1);
  }
  ~FrozenClient() { ::close(fd_); }
  FrozenClient(const FrozenClient&) = delete;
  FrozenClient& operator=(const FrozenClient&) = delete;

 private:
  int fd_;
};

TEST(Drain, DoesNotWaitForAClientThatHasNoCall) {
  const std::string path = UniquePath(".sock");
  ServerOptions options;
  options.listen = {"unix:" + path};
  options.drain_timeout = absl::Minutes(5);
  TestServer server(options);
  const FrozenClient frozen(path);
  const absl::Time start = absl::Now();
  EXPECT_TRUE(server.server().Drain());
  // gRPC itself gives such a client 20 seconds.
  EXPECT_LT(absl::Now() - start, absl::Seconds(15));
}

TEST(Drain, HappensWithCallsInFlightWhereAServerIsDestroyed) {
  std::unique_ptr<RawCall> reading, waiting;
  {
    ServerOptions options = LoopbackOptions();
    options.max_reading_calls = 1;
    TestServer server(options);
    reading = std::make_unique<RawCall>(server.channel(), "Backward");
    waiting = std::make_unique<RawCall>(server.channel(), "Forward");
    server.AwaitCallsInFlight(2);
  }
  EXPECT_THAT(reading->Finish(), Broken());
  EXPECT_THAT(waiting->Finish(), Broken());
}

}  // namespace
}  // namespace groupnorm
