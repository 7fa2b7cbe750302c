#include "server/retry_pushback.h"

#include <gtest/gtest.h>

namespace groupnorm {
namespace {

const absl::Time kStart = absl::UnixEpoch();

// A server that has answered a call every `interval` for a long time, each
// after `shed` others were shed.
RetryPushback Steady(absl::Duration interval, int shed, absl::Time* now) {
  RetryPushback pushback;
  *now = kStart;
  pushback.Began(*now);
  for (int i = 0; i < 1000; ++i) {
    for (int j = 0; j < shed; ++j) pushback.Shed();
    *now += interval;
    pushback.Answered(*now);
  }
  return pushback;
}

void ExpectNear(absl::Duration value, absl::Duration expected) {
  EXPECT_LE(absl::AbsDuration(value - expected), absl::Milliseconds(1))
      << value << ", expected " << expected;
}

TEST(RetryPushback, IsTheTimeForHalfOfTheCallsInFlight) {
  absl::Time now;
  const RetryPushback pushback = Steady(absl::Milliseconds(10), 0, &now);
  ExpectNear(pushback.After(40, now), absl::Milliseconds(200));
  ExpectNear(pushback.After(80, now), absl::Milliseconds(400));
}

TEST(RetryPushback, GrowsWithTheRefusals) {
  absl::Time now;
  RetryPushback pushback = Steady(absl::Milliseconds(10), 3, &now);
  ExpectNear(pushback.After(40, now), absl::Milliseconds(600));
  for (int i = 0; i < 6; ++i) pushback.Shed();
  ExpectNear(pushback.After(40, now), absl::Milliseconds(1200));
}

TEST(RetryPushback, StaysWithinItsBounds) {
  absl::Time now;
  EXPECT_EQ(Steady(absl::Microseconds(10), 0, &now).After(1, now),
            kMinRetryPushback);
  EXPECT_EQ(Steady(absl::Seconds(1), 0, &now).After(256, now),
            kMaxRetryPushback);
  EXPECT_EQ(RetryPushback().After(0, now), kMinRetryPushback);
}

TEST(RetryPushback, GrowsToItsBoundWhileNothingIsAnswered) {
  absl::Time now;
  const RetryPushback pushback = Steady(absl::Milliseconds(10), 0, &now);
  ExpectNear(pushback.After(40, now + absl::Milliseconds(50)),
             absl::Milliseconds(1000));
  EXPECT_EQ(pushback.After(40, now + absl::Hours(1)), kMaxRetryPushback);
}

TEST(RetryPushback, DoesNotTakeAnIdleServerForASlowOne) {
  absl::Time now;
  RetryPushback pushback = Steady(absl::Milliseconds(10), 0, &now);
  now += absl::Hours(1);
  pushback.Began(now);
  ExpectNear(pushback.After(40, now), absl::Milliseconds(200));
}

}  // namespace
}  // namespace groupnorm
