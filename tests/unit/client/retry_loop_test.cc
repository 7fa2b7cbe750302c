#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "groupnorm/client.h"
#include "tests/unit/client/example_calls.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/lost_servers.h"

/// What a Client does when attempts fail.
namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Fails the first `failures` attempts, then answers right.
class FailingAtFirst {
 public:
  FailingAtFirst(int failures, absl::Status failure)
      : failures_(failures), failure_(std::move(failure)) {}

  FakeServer::Method method() {
    return [this](const std::string& request) -> absl::StatusOr<std::string> {
      {
        absl::MutexLock lock(&mutex_);
        requests_.push_back(request);
      }
      if (++attempts_ <= failures_) return failure_;
      return RightForwardResponse().SerializeAsString();
    };
  }

  int attempts() const { return attempts_; }

  std::vector<std::string> requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

 private:
  const int failures_;
  const absl::Status failure_;
  std::atomic<int> attempts_ = 0;
  absl::Mutex mutex_;
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
};

absl::Status WithPushback(absl::Status status, const std::string& value) {
  status.SetPayload("grpc-retry-pushback-ms", absl::Cord(value));
  return status;
}

std::unique_ptr<Client> ConnectWith(const std::string& address,
                                    const RetryOptions& retry) {
  auto client = Client::Create(
      {.address = address, .timeout = absl::Minutes(2), .retry = retry});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

absl::Status Forward(Client& client,
                     std::optional<absl::Duration> timeout = std::nullopt) {
  ForwardMemory memory;
  absl::Status status =
      client.Forward(ForwardExample(), memory.results(), timeout);
  if (status.ok()) {
    EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
  }
  return status;
}

TEST(ClientRetry, GoesOnUntilAnAttemptSucceeds) {
  FailingAtFirst failing(4, absl::UnavailableError("server: draining"));
  FakeServer server({.forward = failing.method()});
  const std::unique_ptr<Client> client = Connect(server.address());
  EXPECT_EQ(Forward(*client), absl::OkStatus());
  EXPECT_EQ(Forward(*client), absl::OkStatus());
  EXPECT_EQ(failing.attempts(), 6);
  EXPECT_EQ(client->retries(), 4);
}

TEST(ClientRetry, SendsTheSameBytesEachTime) {
  FailingAtFirst failing(2, absl::UnavailableError("server: draining"));
  FakeServer server({.forward = failing.method()});
  EXPECT_EQ(Forward(*Connect(server.address())), absl::OkStatus());
  const std::vector<std::string> requests = failing.requests();
  ASSERT_EQ(requests.size(), 3);
  v1::ForwardRequest request;
  ASSERT_TRUE(request.ParseFromString(requests[0]));
  EXPECT_EQ(request.input().data().size(), 16);
  EXPECT_EQ(requests[1], requests[0]);
  EXPECT_EQ(requests[2], requests[0]);
}

TEST(ClientRetry, LeavesAloneWhatIsTheRequestsFault) {
  FailingAtFirst failing(1, absl::InvalidArgumentError("input: missing"));
  FakeServer server({.forward = failing.method()});
  EXPECT_EQ(Forward(*Connect(server.address())),
            absl::InvalidArgumentError("input: missing"));
  EXPECT_EQ(failing.attempts(), 1);
}

TEST(ClientRetry, MakesNoMoreAttemptsThanItMay) {
  FailingAtFirst failing(100, absl::UnavailableError("no healthy upstream"));
  FakeServer server({.forward = failing.method()});
  EXPECT_EQ(
      Forward(*ConnectWith(server.address(), {.max_attempts = 3})),
      absl::UnavailableError(absl::StrCat("no answer from ", server.address(),
                                          " in 3 attempts: no healthy "
                                          "upstream")));
  EXPECT_EQ(failing.attempts(), 3);
}

TEST(ClientRetry, KeepsTheServersLastWords) {
  FailingAtFirst failing(100, absl::UnavailableError("server: draining"));
  FakeServer server({.forward = failing.method()});
  EXPECT_EQ(Forward(*ConnectWith(server.address(), {.max_attempts = 3})),
            absl::UnavailableError("server: draining"));
  EXPECT_EQ(failing.attempts(), 3);
}

TEST(ClientRetry, ComesBackWhenTheServerSaid) {
  FailingAtFirst failing(
      1, WithPushback(absl::UnavailableError("server: full"), "300"));
  FakeServer server({.forward = failing.method()});
  const std::unique_ptr<Client> client = Connect(server.address());
  const absl::Time start = absl::Now();
  EXPECT_EQ(Forward(*client), absl::OkStatus());
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(300));
  EXPECT_EQ(failing.attempts(), 2);
}

TEST(ClientRetry, GivesUpAtOnceWhereTheServerSaysLaterThanTheDeadline) {
  FailingAtFirst failing(
      1, WithPushback(absl::UnavailableError("server: full"), "600000"));
  FakeServer server({.forward = failing.method()});
  EXPECT_EQ(Forward(*Connect(server.address())),
            absl::UnavailableError("server: full"));
  EXPECT_EQ(failing.attempts(), 1);
}

TEST(ClientRetry, StopsWhereTheServerForbidsIt) {
  for (const std::string value : {"-1", "never"}) {
    FailingAtFirst failing(
        1, WithPushback(absl::UnavailableError("server: draining"), value));
    FakeServer server({.forward = failing.method()});
    EXPECT_EQ(Forward(*Connect(server.address())),
              absl::UnavailableError("server: draining"));
    EXPECT_EQ(failing.attempts(), 1);
  }
}

TEST(ClientRetry, NeedsNoTokensWhereTheServerSaysWhen) {
  // More than the budget holds.
  FailingAtFirst failing(
      150, WithPushback(absl::UnavailableError("server: full"), "0"));
  FakeServer server({.forward = failing.method()});
  const std::unique_ptr<Client> client = Connect(server.address());
  std::vector<AsyncCall> calls;
  calls.reserve(150);
  std::vector<ForwardMemory> memory(150);
  for (ForwardMemory& one : memory) {
    calls.push_back(client->ForwardAsync(ForwardExample(), one.results()));
  }
  for (const AsyncCall& call : calls) EXPECT_EQ(call.Wait(), absl::OkStatus());
  EXPECT_EQ(failing.attempts(), 300);
}

TEST(ClientRetry, TriesAgainWhenTheConnectionBreaks) {
  std::atomic<int> attempts = 0;
  absl::Notification entered, left;
  FakeServer server({.forward = [&](const std::string&) {
    if (++attempts == 1) {
      entered.Notify();
      left.WaitForNotification();
    }
    return RightForwardResponse().SerializeAsString();
  }});
  std::thread cutter([&] {
    entered.WaitForNotification();
    CutConnections(server.port());
  });
  EXPECT_EQ(Forward(*Connect(server.address())), absl::OkStatus());
  EXPECT_EQ(attempts, 2);
  left.Notify();
  cutter.join();
}

TEST(ClientRetry, TriesAgainWhenTheServerEndsDuringACall) {
  const TemporaryDirectory directory;
  const std::string first = directory.unix_address("first");
  const std::string second = directory.unix_address("second");
  absl::Notification entered, left;
  auto server = std::make_unique<FakeServer>(
      FakeServer::Methods{.forward =
                              [&](const std::string&) {
                                entered.Notify();
                                left.WaitForNotification();
                                return std::string();
                              }},
      first);
  const std::unique_ptr<Client> client =
      Connect(absl::StrCat(first, ",", second));
  ForwardMemory memory;
  const AsyncCall call =
      client->ForwardAsync(ForwardExample(), memory.results());
  entered.WaitForNotification();
  std::thread ending([&] { server.reset(); });
  const FakeServer next({.forward = Answer(RightForwardResponse())}, second);
  EXPECT_EQ(call.Wait(), absl::OkStatus());
  EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
  left.Notify();
  ending.join();
}

TEST(ClientRetry, ReachesAServerThatComesLater) {
  const TemporaryDirectory directory;
  const std::string address = directory.unix_address();
  const std::unique_ptr<Client> client = Connect(address);
  EXPECT_EQ(Forward(*client, absl::Milliseconds(300)).code(),
            absl::StatusCode::kUnavailable);
  ForwardMemory memory;
  const AsyncCall call =
      client->ForwardAsync(ForwardExample(), memory.results());
  const FakeServer server({.forward = Answer(RightForwardResponse())}, address);
  EXPECT_EQ(call.Wait(), absl::OkStatus());
  EXPECT_EQ(Forward(*client), absl::OkStatus());
}

TEST(ClientRetry, EndsBeforeTheDeadlineWhereNobodyListens) {
  const ReservedPort port;
  const absl::Status status =
      Forward(*Connect(port.address()), absl::Milliseconds(500));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      StartsWith(absl::StrCat("no answer from ", port.address(), " in ")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(" attempts: "));
}

TEST(ClientRetry, GivesAStalledAttemptUpAfterItsTime) {
  std::atomic<int> attempts = 0;
  absl::Notification done;
  FakeServer server({.forward = [&](const std::string&) {
    if (++attempts < 3) done.WaitForNotification();
    return RightForwardResponse().SerializeAsString();
  }});
  EXPECT_EQ(Forward(*ConnectWith(server.address(),
                                 {.attempt_timeout = absl::Milliseconds(100)})),
            absl::OkStatus());
  EXPECT_EQ(attempts, 3);
  done.Notify();
}

TEST(ClientRetry, SaysWhatTimeEachAttemptHad) {
  absl::Notification done;
  FakeServer server({.forward = [&](const std::string&) {
    done.WaitForNotification();
    return RightForwardResponse().SerializeAsString();
  }});
  EXPECT_EQ(Forward(*ConnectWith(server.address(),
                                 {.max_attempts = 2,
                                  .attempt_timeout = absl::Milliseconds(20)})),
            absl::UnavailableError(
                absl::StrCat("no answer from ", server.address(),
                             " in 2 attempts, which had 20ms each")));
  done.Notify();
}

TEST(ClientRetry, SaysWhyTheAttemptsBeforeTheDeadlineFailed) {
  std::atomic<int> attempts = 0;
  absl::Notification done;
  FakeServer server(
      {.forward = [&](const std::string&) -> absl::StatusOr<std::string> {
        if (++attempts == 1) return absl::UnavailableError("no upstream");
        done.WaitForNotification();
        return RightForwardResponse().SerializeAsString();
      }});
  EXPECT_EQ(Forward(*Connect(server.address()), absl::Milliseconds(500)),
            absl::DeadlineExceededError(
                absl::StrCat("no answer from ", server.address(),
                             " within 500ms in 2 attempts: no upstream")));
  done.Notify();
}

TEST(ClientRetry, AsksFiveTimesWhereAServerResetsForLackOfMemory) {
  const std::string text = "Received RST_STREAM with error code 11";
  FailingAtFirst failing(100, absl::ResourceExhaustedError(text));
  FakeServer server({.forward = failing.method()});
  EXPECT_EQ(
      Forward(*Connect(server.address())),
      absl::ResourceExhaustedError(absl::StrCat(
          "no answer from ", server.address(), " in 5 attempts: ", text)));
  EXPECT_EQ(failing.attempts(), 5);
}

TEST(ClientRetry, HasLimitsThatMakeSense) {
  EXPECT_EQ(
      Client::Create({.retry = {.max_attempts = 0}}).status(),
      absl::InvalidArgumentError("retry.max_attempts: 0, expected at least 1"));
  EXPECT_EQ(Client::Create({.retry = {.attempt_timeout = -absl::Seconds(2)}})
                .status(),
            absl::InvalidArgumentError(
                "retry.attempt_timeout: -2s, expected a positive duration"));
}

}  // namespace
}  // namespace groupnorm
