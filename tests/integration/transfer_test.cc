#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

// Its response, of the same size, is far more than what travels unasked.
std::string ForwardOf16MiB() {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(4);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat32, {1, 4, 1 << 20}, 1);
  return request.SerializeAsString();
}

ServerOptions WithReadTimeout(absl::Duration timeout) {
  ServerOptions options = LoopbackOptions();
  options.max_reading_calls = 1;
  options.read_timeout = timeout;
  return options;
}

TEST(ReadTimeout, EndsACallWhoseBodyDoesNotCome) {
  TestServer server(WithReadTimeout(absl::Milliseconds(50)));
  for (int i = 0; i < 5; ++i) {
    RawCall silent(server.channel(), "Forward");
    EXPECT_THAT(silent.Finish(),
                FailsWith(grpc::StatusCode::DEADLINE_EXCEEDED,
                          "deadline: the request has not arrived within 50ms "
                          "(--read-timeout)"));
    server.AwaitCallsInFlight(0);
    v1::ForwardResponse response;
    EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
  }
}

TEST(ReadTimeout, EndsTheCallThatHasTheSlotThenTheOneBehindIt) {
  TestServer server(WithReadTimeout(absl::Milliseconds(50)));
  RawCall waiting(server.channel(), "Forward");
  server.AwaitCallsInFlight(1);
  // Its time begins only when the first call has given the slot up.
  RawCall second(Connect(server.address()), "Forward");
  EXPECT_EQ(waiting.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(second.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server.AwaitCallsInFlight(0);
}

// The third waits for twice the timeout, and its body is there when it is its
// turn: the timeout is also all the time that reading it may take.
TEST(ReadTimeout, DoesNotCountTheWaitForASlot) {
  TestServer server(WithReadTimeout(absl::Milliseconds(500)));
  RawCall first(server.channel(), "Forward");
  server.AwaitCallsInFlight(1);
  RawCall second(Connect(server.address()), "Forward");
  server.AwaitCallsInFlight(2);
  RawCall third(Connect(server.address()), "Forward");
  EXPECT_TRUE(third.Send(SmallForwardRequest().SerializeAsString()));
  EXPECT_EQ(first.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(second.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(third.Finish(), Succeeds());
}

// Room for one request of 16 MiB at a time.
ServerOptions WithMemoryForOne(absl::Duration write_timeout) {
  ServerOptions options = LoopbackOptions();
  options.max_message_bytes = 17 * kMebibyte;
  options.max_queued_bytes = 40 * kMebibyte;
  options.write_timeout = write_timeout;
  return options;
}

// A call that has all of the server's memory: it is answered, and its response
// not taken.
std::unique_ptr<RawCall> UnreadCall(TestServer& server,
                                    const std::string& request) {
  auto call = std::make_unique<RawCall>(server.channel(), "Forward");
  EXPECT_TRUE(call->Send(request));
  call->AwaitReply();
  return call;
}

TEST(QueuedBytes, AreWaitedForUntilAnotherCallsResponseIsTaken) {
  TestServer server(WithMemoryForOne(absl::Seconds(300)));
  const std::string request = ForwardOf16MiB();
  const auto unread = UnreadCall(server, request);
  // Read whole, since a slot is free, and then it waits.
  RawCall waiting(Connect(server.address()), "Forward");
  ASSERT_TRUE(waiting.Send(request));
  // So does this one, for longer than it has (sanitizers may need that long to
  // compute it).
  RawCall late(Connect(server.address()), "Forward",
               std::chrono::milliseconds(300));
  late.Send(request);
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server.AwaitCallsInFlight(2);
  EXPECT_THAT(unread->Finish(), Succeeds());
  EXPECT_THAT(waiting.Finish(), Succeeds());
}

TEST(QueuedBytes, AreNotWaitedForByACallThatIsOver) {
  TestServer server(WithMemoryForOne(absl::Seconds(300)));
  const std::string request = ForwardOf16MiB();
  const auto unread = UnreadCall(server, request);
  for (int i = 0; i < 3; ++i) {
    RawCall cancelled(Connect(server.address()), "Forward");
    ASSERT_TRUE(cancelled.Send(request));
    cancelled.Cancel();
    EXPECT_EQ(cancelled.Finish().error_code(), grpc::StatusCode::CANCELLED);
    RawCall late(Connect(server.address()), "Forward",
                 std::chrono::milliseconds(300));
    late.Send(request);
    EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    server.AwaitCallsInFlight(1);
  }
  EXPECT_THAT(unread->Finish(), Succeeds());
  RawCall last(Connect(server.address()), "Forward");
  ASSERT_TRUE(last.Send(request));
  EXPECT_THAT(last.Finish(), Succeeds());
}

TEST(WriteTimeout, FreesTheMemoryOfAResponseThatIsNotTaken) {
  TestServer server(WithMemoryForOne(absl::Milliseconds(200)));
  const std::string request = ForwardOf16MiB();
  const auto unread = UnreadCall(server, request);
  RawCall waiting(Connect(server.address()), "Forward");
  ASSERT_TRUE(waiting.Send(request));
  EXPECT_THAT(waiting.Finish(), Succeeds());
  EXPECT_EQ(unread->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server.AwaitCallsInFlight(0);
}

}  // namespace
}  // namespace groupnorm
