#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using Calls = std::vector<std::unique_ptr<RawCall>>;

// Calls that the server has admitted and whose bodies it waits for.
Calls Park(TestServer& server, int count) {
  Calls calls;
  for (int i = 0; i < count; ++i) {
    calls.push_back(std::make_unique<RawCall>(server.channel(), "Backward"));
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

TEST(Admission, ShedsCallsBeyondTheLimitWithAPushback) {
  TestServer server(OptionsWithRoomFor(3));
  const Calls parked = Park(server, 3);
  RawCall shed(server.channel(), "Forward");
  EXPECT_THAT(shed.Finish(), FailsWith(grpc::StatusCode::UNAVAILABLE,
                                       "server: 3 calls in flight, limit 3 "
                                       "(--max-queued-calls)"));
  EXPECT_EQ(shed.TrailingMetadatum("grpc-retry-pushback-ms"), "100");

  ExpectAnswered(parked);
  for (const auto& call : parked) {
    EXPECT_EQ(call->TrailingMetadatum("grpc-retry-pushback-ms"), "");
  }
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
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
