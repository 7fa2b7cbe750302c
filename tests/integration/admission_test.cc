#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using Calls = std::vector<std::unique_ptr<RawCall>>;

// Calls that the server has admitted and whose bodies it waits for, each on a
// connection of its own.
Calls Park(TestServer& server, int count) {
  Calls calls;
  for (int i = 0; i < count; ++i) {
    calls.push_back(
        std::make_unique<RawCall>(Connect(server.address()), "Backward"));
  }
  server.AwaitCallsInFlight(count);
  return calls;
}

void ExpectAnswered(const Calls& calls) {
  const std::string request = SmallBackwardRequest().SerializeAsString();
  for (const auto& call : calls) EXPECT_TRUE(call->Send(request));
  for (const auto& call : calls) EXPECT_THAT(call->Finish(), Succeeds());
}

ServerOptions OptionsWithRoomFor(int max_queued_calls) {
  ServerOptions options = LoopbackOptions();
  options.max_queued_calls = max_queued_calls;
  return options;
}

// The server's pushback for a call that was shed; -1 where it gave none.
int PushbackMs(const RawCall& call) {
  int pushback_ms = -1;
  EXPECT_TRUE(absl::SimpleAtoi(call.TrailingMetadatum("grpc-retry-pushback-ms"),
                               &pushback_ms));
  return pushback_ms;
}

TEST(Admission, ShedsCallsBeyondTheLimitWithAPushback) {
  TestServer server(OptionsWithRoomFor(3));
  const Calls parked = Park(server, 3);
  RawCall shed(server.channel(), "Forward");
  EXPECT_THAT(shed.Finish(), FailsWith(grpc::StatusCode::UNAVAILABLE,
                                       "server: 3 calls in flight, limit 3 "
                                       "(--max-queued-calls)"));
  EXPECT_GE(PushbackMs(shed), 100);
  EXPECT_LE(PushbackMs(shed), 5000);

  ExpectAnswered(parked);
  for (const auto& call : parked) {
    EXPECT_EQ(call->TrailingMetadatum("grpc-retry-pushback-ms"), "");
  }
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
}

TEST(Admission, LeavesHalfOfTheQueueToOtherConnections) {
  for (const char* listen : {"127.0.0.1:0", "unix:"}) {
    ServerOptions options = OptionsWithRoomFor(4);
    options.listen = {listen};
    if (options.listen.front() == "unix:") {
      options.listen.front() += UniquePath(".socket");
    }
    TestServer server(options);
    std::vector<std::unique_ptr<RawCall>> flood;
    flood.reserve(2);
    for (int i = 0; i < 2; ++i) {
      flood.push_back(std::make_unique<RawCall>(server.channel(), "Forward"));
    }
    server.AwaitCallsInFlight(2);
    RawCall shed(server.channel(), "Forward");
    EXPECT_THAT(shed.Finish(),
                FailsWith(grpc::StatusCode::UNAVAILABLE,
                          "server: 2 calls of this connection in flight, limit "
                          "2 (half of --max-queued-calls)"));
    EXPECT_GE(PushbackMs(shed), 100);
    v1::ForwardResponse response;
    EXPECT_THAT(CallForward(Connect(server.address()), SmallForwardRequest(),
                            &response),
                Succeeds());
  }
}

TEST(Admission, RefusesALargeCallBeforeItsBodyIsRead) {
  TestServer server(OptionsWithRoomFor(1));
  const Calls parked = Park(server, 1);
  // Beyond --max-message-bytes: had it been read, the answer were another.
  v1::ForwardRequest request;
  request.mutable_input()->mutable_data()->resize((256 << 20) + 1);
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(request, &response),
              FailsWith(grpc::StatusCode::UNAVAILABLE, ::testing::_));
}

TEST(Admission, CountsACallNoMoreOnceItIsAnswered) {
  TestServer server(OptionsWithRoomFor(1));
  v1::ForwardResponse response;
  for (int i = 0; i < 200; ++i) {
    ASSERT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
    server.AwaitCallsInFlight(0);
    ASSERT_THAT(server.Forward(v1::ForwardRequest(), &response),
                FailsWith(grpc::StatusCode::INVALID_ARGUMENT, ::testing::_));
    server.AwaitCallsInFlight(0);
  }
}

TEST(Admission, CountsACallWhoseReplyIsNotRead) {
  TestServer server(OptionsWithRoomFor(1));
  // A response of 16 MiB, far more than what travels unasked.
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(4);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat32, {1, 4, 1 << 20}, 1);
  RawCall unread(server.channel(), "Forward");
  ASSERT_TRUE(unread.Send(request.SerializeAsString()));
  unread.AwaitReply();
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(SmallForwardRequest(), &response),
              FailsWith(grpc::StatusCode::UNAVAILABLE, ::testing::_));

  EXPECT_THAT(unread.Finish(), Succeeds());
  server.AwaitCallsInFlight(0);
  EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
}

TEST(Admission, AnswersGetServerInfoWhileFull) {
  TestServer server(OptionsWithRoomFor(1));
  const Calls parked = Park(server, 1);
  v1::GetServerInfoResponse info;
  EXPECT_THAT(server.GetServerInfo(&info), Succeeds());
}

TEST(Admission, LetsCallsWaitForAReadingSlotAndAnswersThemAll) {
  ServerOptions options = LoopbackOptions();
  options.max_reading_calls = 1;
  TestServer server(options);
  ExpectAnswered(Park(server, 8));
}

}  // namespace
}  // namespace groupnorm
