#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "groupnorm/client.h"
#include "tests/unit/client/example_calls.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/lost_servers.h"

/// Calls that nobody waits for at once.
namespace groupnorm {
namespace {

using ::testing::ElementsAre;

const absl::Status kCancelled = absl::CancelledError("cancelled by the caller");

/// Answers after the test says so, or when the call is over.
class Holding {
 public:
  FakeServer::Method method() {
    return [this](const std::string&) {
      entered_.Notify();
      left_.WaitForNotification();
      return RightForwardResponse().SerializeAsString();
    };
  }
  ~Holding() { Leave(); }
  void AwaitCall() { entered_.WaitForNotification(); }
  void Leave() {
    if (!left_.HasBeenNotified()) left_.Notify();
  }

 private:
  absl::Notification entered_, left_;
};

TEST(ClientAsync, WritesTheResultsBeforeTheCallbackAndTheWait) {
  FakeServer server({.forward = Answer(RightForwardResponse()),
                     .backward = Answer(RightBackwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  std::optional<absl::Status> seen;
  const AsyncCall call = client->ForwardAsync(
      ForwardExample(), memory.results(), [&](const absl::Status& status) {
        EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
        seen = status;
      });
  EXPECT_EQ(call.Wait(), absl::OkStatus());
  EXPECT_EQ(seen, absl::OkStatus());
  EXPECT_TRUE(call.done());
  EXPECT_THAT(memory.mean, ElementsAre(0.5, 1.5));
  EXPECT_THAT(memory.rstd, ElementsAre(2.5, 3.5));

  std::vector<float> grad_input(4), grad_bias(2);
  EXPECT_EQ(
      client
          ->BackwardAsync(BackwardExample(), {.grad_input = grad_input.data(),
                                              .grad_bias = grad_bias.data()})
          .Wait(),
      absl::OkStatus());
  EXPECT_THAT(grad_input, ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(grad_bias, ElementsAre(3, 4));
}

TEST(ClientAsync, HasManyCallsInFlightFromOneThread) {
  // None is answered before all are there.
  constexpr int kCalls = 8;
  absl::Barrier* const barrier = new absl::Barrier(kCalls);
  FakeServer server({.forward = [barrier](const std::string&) {
    if (barrier->Block()) delete barrier;
    return RightForwardResponse().SerializeAsString();
  }});
  const std::unique_ptr<Client> client = Connect(server.address());
  std::vector<ForwardMemory> memory(kCalls);
  absl::BlockingCounter left(kCalls);
  std::atomic<int> succeeded = 0;
  for (ForwardMemory& one : memory) {
    client->ForwardAsync(ForwardExample(), one.results(),
                         [&](const absl::Status& status) {
                           succeeded += status.ok() ? 1 : 0;
                           left.DecrementCount();
                         });
  }
  left.Wait();
  EXPECT_EQ(succeeded, kCalls);
  for (const ForwardMemory& one : memory) {
    EXPECT_THAT(one.output, ElementsAre(1, 2, 3, 4));
  }
}

TEST(ClientAsync, KeepsNoPointerToTheArguments) {
  std::string received;
  Holding holding;
  FakeServer server(
      {.forward = [&, hold = holding.method()](const std::string& request) {
        received = request;
        return hold(request);
      }});
  const std::unique_ptr<Client> client = Connect(server.address());
  auto values = std::make_unique<std::vector<float>>(kInput);
  ForwardMemory memory;
  const AsyncCall call = client->ForwardAsync(
      {.input = {DataType::kFloat32, {2, 2}, values->data()}, .num_groups = 1},
      memory.results());
  values->assign(4, -1);
  values.reset();
  holding.Leave();
  EXPECT_EQ(call.Wait(), absl::OkStatus());
  EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
  v1::ForwardRequest request;
  ASSERT_TRUE(request.ParseFromString(received));
  EXPECT_EQ(request.input().data(),
            std::string(reinterpret_cast<const char*>(kInput.data()), 16));
}

TEST(ClientAsync, ReportsWhatCannotBeSent) {
  FakeServer server({});
  const std::unique_ptr<Client> client = Connect(server.address());
  const absl::Status expected =
      absl::InvalidArgumentError("input.data: null, expected 16 bytes");
  const TensorView null = {DataType::kFloat32, {2, 2}, nullptr};
  std::optional<absl::Status> seen;
  const AsyncCall forward =
      client->ForwardAsync({.input = null, .num_groups = 1}, {},
                           [&](const absl::Status& status) { seen = status; });
  EXPECT_EQ(forward.Wait(), expected);
  EXPECT_EQ(seen, expected);
  BackwardMemory memory;
  BackwardArguments arguments = BackwardExample();
  arguments.input = null;
  EXPECT_EQ(client->BackwardAsync(arguments, memory.results()).Wait(),
            expected);
  const absl::Status timeout = absl::InvalidArgumentError(
      "timeout: 0, expected a positive and finite duration");
  EXPECT_EQ(
      client->ForwardAsync(ForwardExample(), {}, nullptr, absl::ZeroDuration())
          .Wait(),
      timeout);
  EXPECT_EQ(client
                ->BackwardAsync(BackwardExample(), memory.results(), nullptr,
                                absl::ZeroDuration())
                .Wait(),
            timeout);
}

TEST(ClientAsync, TakesATimeoutOfItsOwn) {
  Holding holding;
  FakeServer server({.forward = holding.method()});
  const std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  EXPECT_EQ(client
                ->ForwardAsync(ForwardExample(), memory.results(), nullptr,
                               absl::Milliseconds(20))
                .Wait(),
            absl::DeadlineExceededError(absl::StrCat(
                "no answer from ", server.address(), " within 20ms")));
  holding.Leave();
}

TEST(ClientAsync, CancelsACallThatTheServerHolds) {
  Holding holding;
  FakeServer server({.forward = holding.method()});
  const std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  const AsyncCall call =
      client->ForwardAsync(ForwardExample(), memory.results());
  holding.AwaitCall();
  EXPECT_FALSE(call.done());
  call.Cancel();
  EXPECT_EQ(call.Wait(), kCancelled);
  call.Cancel();  // Over already: nothing happens.
  holding.Leave();
}

TEST(ClientAsync, CancelsACallThatWaitsForItsNextAttempt) {
  std::atomic<int> attempts = 0;
  absl::Notification refused;
  absl::Status failure = absl::UnavailableError("server: full");
  failure.SetPayload("grpc-retry-pushback-ms", absl::Cord("60000"));
  FakeServer server(
      {.forward = [&](const std::string&) -> absl::StatusOr<std::string> {
        if (++attempts == 1) refused.Notify();
        return failure;
      }});
  const std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  const AsyncCall call =
      client->ForwardAsync(ForwardExample(), memory.results());
  refused.WaitForNotification();
  call.Cancel();
  EXPECT_EQ(call.Wait(), kCancelled);
  EXPECT_EQ(attempts, 1);
}

TEST(ClientAsync, StartsCallsFromItsCallback) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  int left = 20;
  absl::Notification done;
  Client::Callback next = [&](const absl::Status& status) {
    EXPECT_EQ(status, absl::OkStatus());
    if (--left == 0) {
      done.Notify();
    } else {
      client->ForwardAsync(ForwardExample(), memory.results(), next);
    }
  };
  client->ForwardAsync(ForwardExample(), memory.results(), next);
  done.WaitForNotification();
}

TEST(ClientAsync, CancelsWhatIsInFlightWhenTheClientGoes) {
  Holding holding;
  FakeServer server({.forward = holding.method()});
  std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  std::vector<absl::Status> ended;
  const AsyncCall call = client->ForwardAsync(
      ForwardExample(), memory.results(),
      [&, raw = client.get()](const absl::Status& status) {
        ended.push_back(status);
        // One who keeps a call in flight knows nothing of the end.
        raw->ForwardAsync(
            ForwardExample(), memory.results(),
            [&](const absl::Status& other) { ended.push_back(other); });
      });
  holding.AwaitCall();
  client.reset();
  EXPECT_THAT(ended, ElementsAre(kCancelled, kCancelled));
  EXPECT_EQ(call.Wait(), kCancelled);
  call.Cancel();
  holding.Leave();
}

TEST(ClientAsync, LetsGoOfTheCallbackBeforeTheWaitEnds) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  ForwardMemory memory;
  const auto held = std::make_shared<int>(0);
  const AsyncCall call =
      client->ForwardAsync(ForwardExample(), memory.results(),
                           [held](const absl::Status&) { ++*held; });
  EXPECT_EQ(call.Wait(), absl::OkStatus());
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 1);
}

TEST(ClientAsync, SharesAClientWithThreadsThatWait) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, waits = thread % 2 == 0] {
      for (int i = 0; i < 20; ++i) {
        ForwardMemory memory;
        EXPECT_EQ(waits
                      ? client->Forward(ForwardExample(), memory.results())
                      : client->ForwardAsync(ForwardExample(), memory.results())
                            .Wait(),
                  absl::OkStatus());
        EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace groupnorm
