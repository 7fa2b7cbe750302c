// A server that has to go, while many callers keep it busy and while one only
// watches.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

// What became of the callers' calls.
class Outcomes {
 public:
  // The server is told to go now.
  void Signalled() {
    const absl::MutexLock lock(&mutex_);
    signalled_ = true;
  }

  bool signalled() const {
    const absl::MutexLock lock(&mutex_);
    return signalled_;
  }

  // Returns whether the call succeeded.
  bool Add(const grpc::Status& status, bool begun_before) {
    if (status.ok()) {
      const absl::MutexLock lock(&mutex_);
      ++answered_;
      return true;
    }
    EXPECT_THAT(status, FailsWith(grpc::StatusCode::UNAVAILABLE, ::testing::_));
    const bool refused = absl::StartsWith(status.error_message(), "server: ");
    EXPECT_TRUE(refused || !begun_before)
        << "sent before the signal, and lost: " << OutcomeText(status);
    const absl::MutexLock lock(&mutex_);
    ++(refused ? refused_ : unconnected_);
    return false;
  }

  int answered() const {
    const absl::MutexLock lock(&mutex_);
    return answered_;
  }

  int refused() const {
    const absl::MutexLock lock(&mutex_);
    return refused_;
  }

  std::string Text() const {
    const absl::MutexLock lock(&mutex_);
    return absl::StrFormat(
        "%d calls answered, %d refused, %d found no server any more", answered_,
        refused_, unconnected_);
  }

  void AwaitAnswers(int count) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return answered_ >= count;
    };
    mutex_.Await(absl::Condition(&reached));
  }

 private:
  mutable absl::Mutex mutex_;
  bool signalled_ ABSL_GUARDED_BY(mutex_) = false;
  int answered_ ABSL_GUARDED_BY(mutex_) = 0;
  int refused_ ABSL_GUARDED_BY(mutex_) = 0;
  int unconnected_ ABSL_GUARDED_BY(mutex_) = 0;
};

int CountOf(absl::string_view text, absl::string_view errors) {
  const std::vector<absl::string_view> between = absl::StrSplit(errors, text);
  return static_cast<int>(between.size()) - 1;
}

TEST(DrainUnderLoad, AnswersWhateverWasAdmitted) {
  constexpr int kCallers = 64;
  ServerProcess server({"--listen=127.0.0.1:0", "--log-level=debug"});
  const std::string address = server.addresses().front();
  const v1::ForwardRequest request = RequestOfBytes(Size(1 << 20, 64 << 10));
  Outcomes outcomes;
  Threads threads(kCallers, [&](int /*index*/) {
    const auto channel = Connect(address);
    for (bool served = true; served;) {
      const bool before = !outcomes.signalled();
      v1::ForwardResponse response;
      served = outcomes.Add(CallForward(channel, request, &response), before);
    }
  });
  outcomes.AwaitAnswers(4 * kCallers);
  outcomes.Signalled();
  server.Signal(SIGTERM);
  const absl::Time start = absl::Now();
  EXPECT_EQ(server.Wait(), 0);
  threads.Join();
  Print(absl::StrFormat("%d callers, %s; gone after %s", kCallers,
                        outcomes.Text(),
                        absl::FormatDuration(absl::Now() - start)));
  // Whatever was admitted was answered, and the answer arrived.
  EXPECT_EQ(CountOf(": admitted", server.errors()), outcomes.answered());
  EXPECT_GT(outcomes.refused(), 0);
}

TEST(Drain, TakesItsDelayWhereOnlyAWatchIsOpen) {
  const int delay_seconds = Size(2, 0);
  const absl::Duration delay = absl::Seconds(delay_seconds);
  ServerProcess server({"--listen=127.0.0.1:0",
                        absl::StrFormat("--drain-delay=%ds", delay_seconds)});
  const auto stub =
      grpc::health::v1::Health::NewStub(Connect(server.addresses().front()));
  grpc::ClientContext context;
  const auto watch = stub->Watch(&context, {});
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  const absl::Time start = absl::Now();
  server.Signal(SIGTERM);
  while (watch->Read(&response)) {
  }
  EXPECT_THAT(watch->Finish(),
              FailsWith(grpc::StatusCode::UNAVAILABLE,
                        "server: draining, expected another server"));
  EXPECT_EQ(server.Wait(), 0);
  const absl::Duration taken = absl::Now() - start;
  EXPECT_GE(taken, delay);
  Print(absl::StrFormat("gone after %s, %s of it the delay",
                        absl::FormatDuration(taken),
                        absl::FormatDuration(delay)));
  if (TimesAreMeasurable()) {
    EXPECT_LE(taken, delay + absl::Seconds(1));
  }
}

}  // namespace
}  // namespace groupnorm::load
