#include "server/admission.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/time/clock.h"

namespace groupnorm {
namespace {

class AdmissionControllerTest : public ::testing::Test {
 protected:
  const ConnectionId one_ = &places_[0];
  const ConnectionId other_ = &places_[1];
  const ConnectionId third_ = &places_[2];

 private:
  char places_[3] = {};
};

absl::Status Admit(AdmissionController& admission, ConnectionId connection) {
  return admission.Admit(connection, absl::InfiniteFuture());
}

TEST_F(AdmissionControllerTest, ShedsCallsBeyondItsLimit) {
  AdmissionController admission(2);
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
  EXPECT_EQ(Admit(admission, other_), absl::OkStatus());
  EXPECT_EQ(Admit(admission, third_),
            absl::UnavailableError(
                "server: 2 calls in flight, limit 2 (--max-queued-calls)"));
  EXPECT_EQ(admission.in_flight(), 2);
}

TEST_F(AdmissionControllerTest, ShedsCallsBeyondTheHalfOfTheirConnection) {
  AdmissionController admission(5);
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
  EXPECT_EQ(
      Admit(admission, one_),
      absl::UnavailableError("server: 2 calls of this connection in flight, "
                             "limit 2 (half of --max-queued-calls)"));
  EXPECT_EQ(Admit(admission, other_), absl::OkStatus());
  EXPECT_EQ(admission.in_flight(), 3);
  admission.Answered(one_);
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
}

TEST_F(AdmissionControllerTest, AdmitsAgainOnceACallIsAnswered) {
  AdmissionController admission(1);
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
  admission.Answered(one_);
  EXPECT_EQ(admission.in_flight(), 0);
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
}

TEST_F(AdmissionControllerTest, RefusesACallWhoseDeadlineHasPassed) {
  AdmissionController admission(1);
  EXPECT_EQ(admission.Admit(one_, absl::Now() - absl::Milliseconds(1)),
            absl::DeadlineExceededError(
                "deadline: passed before the request was read"));
  EXPECT_EQ(admission.in_flight(), 0);
}

TEST_F(AdmissionControllerTest, ShedsAllCallsWhileDraining) {
  AdmissionController admission(1);
  EXPECT_EQ(admission.CheckNotDraining(), absl::OkStatus());
  admission.StartDraining();
  const absl::Status draining =
      absl::UnavailableError("server: draining, expected another server");
  EXPECT_EQ(Admit(admission, one_), draining);
  EXPECT_EQ(admission.CheckNotDraining(), draining);
  EXPECT_EQ(admission.Pushback(), kMinRetryPushback);
}

TEST_F(AdmissionControllerTest, WaitsUntilAllCallsAreAnswered) {
  AdmissionController admission(2);
  EXPECT_TRUE(admission.AwaitAllAnswered(absl::InfinitePast()));
  EXPECT_EQ(Admit(admission, one_), absl::OkStatus());
  EXPECT_FALSE(admission.AwaitAllAnswered(absl::InfinitePast()));
  std::thread answer([&] { admission.Answered(one_); });
  EXPECT_TRUE(admission.AwaitAllAnswered(absl::InfiniteFuture()));
  answer.join();
}

}  // namespace
}  // namespace groupnorm
