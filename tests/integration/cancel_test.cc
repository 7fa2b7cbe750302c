#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

// Each test ends only if the server lets go of what was cancelled.
class CancelTest : public ::testing::Test {
 protected:
  CancelTest() : server(Options()) {}

  static ServerOptions Options() {
    ServerOptions options = LoopbackOptions();
    options.max_reading_calls = 1;
    options.workers = 1;
    return options;
  }

  void ExpectToServe() {
    v1::ForwardResponse response;
    EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
  }

  TestServer server;
};

TEST_F(CancelTest, EndsACallThatIsBeingRead) {
  for (int i = 0; i < 20; ++i) {
    RawCall call(server.channel(), "Forward");
    server.AwaitCallsInFlight(1);
    call.Cancel();
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::CANCELLED);
    server.AwaitCallsInFlight(0);
  }
  ExpectToServe();
}

TEST_F(CancelTest, EndsACallThatWaitsForAReadingSlot) {
  RawCall reading(server.channel(), "Forward");
  server.AwaitCallsInFlight(1);
  for (int i = 0; i < 20; ++i) {
    RawCall waiting(server.channel(), "Forward");
    server.AwaitCallsInFlight(2);
    waiting.Cancel();
    EXPECT_EQ(waiting.Finish().error_code(), grpc::StatusCode::CANCELLED);
    server.AwaitCallsInFlight(1);
  }
  EXPECT_TRUE(reading.Send(SmallForwardRequest().SerializeAsString()));
  EXPECT_THAT(reading.Finish(), Succeeds());
  ExpectToServe();
}

TEST_F(CancelTest, EndsACallWhoseBodyIsOnItsWay) {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(1);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat32, {1, 1, 1 << 20}, 1);
  RawCall reading(server.channel(), "Forward");
  server.AwaitCallsInFlight(1);
  RawCall waiting(server.channel(), "Forward");
  server.AwaitCallsInFlight(2);
  // Flow control lets only the start of it through while nobody reads: the
  // sender waits until it is cancelled.
  std::thread sender([&waiting, bytes = request.SerializeAsString()] {
    EXPECT_FALSE(waiting.Send(bytes));
  });
  waiting.Cancel();
  sender.join();
  EXPECT_EQ(waiting.Finish().error_code(), grpc::StatusCode::CANCELLED);
  reading.Cancel();
  server.AwaitCallsInFlight(0);
  ExpectToServe();
}

TEST(Cancel, StopsAComputation) {
  v1::BackwardRequest request;
  request.mutable_config()->set_num_groups(4);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat64, {4, 16, 128, 128}, 1);
  *request.mutable_grad_output() = request.input();
  const std::string bytes = request.SerializeAsString();
  ServerProcess server(
      {"--listen=127.0.0.1:0", "--workers=1", "--log-level=debug"});
  const auto channel = Connect(server.addresses().front());
  // Some of these calls are cancelled after their body was read and before
  // their last task: then the workers have something to stop.
  for (int i = 0; server.CountErrors("CANCELLED: request: cancelled") == 0;
       ++i) {
    ASSERT_LT(i, 500);
    RawCall call(channel, "Backward");
    call.Send(bytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(i % 50));
    call.Cancel();
    call.Finish();
  }
  v1::ForwardResponse response;
  EXPECT_THAT(CallForward(channel, SmallForwardRequest(), &response),
              Succeeds());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

}  // namespace
}  // namespace groupnorm
