#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using std::chrono::milliseconds;

ServerOptions OneReadingSlot() {
  ServerOptions options = LoopbackOptions();
  options.max_reading_calls = 1;
  return options;
}

TEST(Deadline, EndsACallThatWaitsForAReadingSlot) {
  TestServer server(OneReadingSlot());
  RawCall reading(server.channel(), "Forward");
  server.AwaitCallsInFlight(1);
  RawCall waiting(server.channel(), "Forward", milliseconds(50));
  waiting.Send(SmallForwardRequest().SerializeAsString());
  EXPECT_EQ(waiting.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server.AwaitCallsInFlight(1);
  EXPECT_TRUE(reading.Send(SmallForwardRequest().SerializeAsString()));
  EXPECT_THAT(reading.Finish(), Succeeds());
}

TEST(Deadline, FreesTheSlotOfACallWhoseBodyNeverComes) {
  TestServer server(OneReadingSlot());
  for (int i = 0; i < 5; ++i) {
    RawCall call(server.channel(), "Backward", milliseconds(20));
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    v1::ForwardResponse response;
    EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
  }
}

TEST(Deadline, ThatHasPassedAtTheCallerDoesNoHarm) {
  TestServer server;
  RawCall call(server.channel(), "Forward", milliseconds(-1000));
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
}

}  // namespace
}  // namespace groupnorm
