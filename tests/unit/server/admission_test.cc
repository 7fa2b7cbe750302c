#include "server/admission.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace groupnorm {
namespace {

TEST(AdmissionController, ShedsCallsBeyondItsLimit) {
  AdmissionController admission(2);
  EXPECT_EQ(admission.Admit(absl::InfiniteFuture()), absl::OkStatus());
  EXPECT_EQ(admission.Admit(absl::InfiniteFuture()), absl::OkStatus());
  EXPECT_EQ(admission.Admit(absl::InfiniteFuture()),
            absl::UnavailableError(
                "server: 2 calls in flight, limit 2 (--max-queued-calls)"));
  EXPECT_EQ(admission.in_flight(), 2);
}

TEST(AdmissionController, AdmitsAgainOnceACallIsAnswered) {
  AdmissionController admission(1);
  EXPECT_EQ(admission.Admit(absl::InfiniteFuture()), absl::OkStatus());
  admission.Answered();
  EXPECT_EQ(admission.in_flight(), 0);
  EXPECT_EQ(admission.Admit(absl::InfiniteFuture()), absl::OkStatus());
}

TEST(AdmissionController, RefusesACallWhoseDeadlineHasPassed) {
  AdmissionController admission(1);
  EXPECT_EQ(admission.Admit(absl::Now() - absl::Milliseconds(1)),
            absl::DeadlineExceededError(
                "deadline: passed before the request was read"));
  EXPECT_EQ(admission.in_flight(), 0);
}

TEST(AdmissionController, ShedsAllCallsWhileDraining) {
  AdmissionController admission(1);
  EXPECT_EQ(admission.CheckNotDraining(), absl::OkStatus());
  admission.StartDraining();
  const absl::Status draining =
      absl::UnavailableError("server: draining, expected another server");
  EXPECT_EQ(admission.Admit(absl::InfiniteFuture()), draining);
  EXPECT_EQ(admission.CheckNotDraining(), draining);
}

}  // namespace
}  // namespace groupnorm
