#include "client/retry.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace groupnorm {
namespace {

using absl::StatusCode;

const char kReset[] = "Received RST_STREAM with error code 11";

TEST(IsTransient, IsWhatMayPass) {
  for (const AttemptFailure& failure : std::vector<AttemptFailure>{
           {StatusCode::kUnavailable, "connections to all backends failing"},
           {StatusCode::kUnavailable, "server: 3 calls in flight, limit 3"},
           {StatusCode::kDeadlineExceeded, "Deadline Exceeded"},
           {StatusCode::kDeadlineExceeded, "deadline: passed while queued"},
           {StatusCode::kCancelled, "CANCELLED"},
           {StatusCode::kCancelled, "Received RST_STREAM with error code 8"},
           {StatusCode::kInternal, "Received RST_STREAM with error code 2"},
           {StatusCode::kResourceExhausted, kReset}}) {
    EXPECT_TRUE(IsTransient(failure)) << failure.code << " " << failure.text;
  }
}

TEST(IsTransient, IsNotWhatTheNextAttemptMeetsAgain) {
  for (const AttemptFailure& failure : std::vector<AttemptFailure>{
           {StatusCode::kInvalidArgument, "config.num_groups: 0, expected"},
           {StatusCode::kResourceExhausted, "server: out of memory"},
           {StatusCode::kResourceExhausted,
            "response: 300 bytes, limit 200 (--max-message-bytes)"},
           {StatusCode::kResourceExhausted,
            "Received message larger than max (9 vs. 8)"},
           {StatusCode::kInternal, "server: a fault"},
           {StatusCode::kDeadlineExceeded,
            "deadline: the request has not arrived within 30s "
            "(--read-timeout)"},
           {StatusCode::kUnimplemented, ""},
           {StatusCode::kCancelled, "server: cancelled"},
           {StatusCode::kUnknown, ""},
           {StatusCode::kPermissionDenied, ""},
           {StatusCode::kUnauthenticated, ""}}) {
    EXPECT_FALSE(IsTransient(failure)) << failure.code << " " << failure.text;
  }
}

TEST(IsTransient, IsNothingThatTheServerForbids) {
  AttemptFailure failure = {StatusCode::kUnavailable, "server: draining"};
  failure.pushback = -absl::Milliseconds(1);
  EXPECT_FALSE(IsTransient(failure));
  failure.pushback = absl::ZeroDuration();
  EXPECT_TRUE(IsTransient(failure));
}

TEST(ParsePushback, ReadsMilliseconds) {
  EXPECT_EQ(ParsePushback("0"), absl::ZeroDuration());
  EXPECT_EQ(ParsePushback("1500"), absl::Milliseconds(1500));
}

TEST(ParsePushback, TakesAllElseForANo) {
  for (const std::string text :
       {"", "-1", "soon", "1.5", "9999999999999999999"}) {
    EXPECT_LT(ParsePushback(text), absl::ZeroDuration()) << text;
  }
}

TEST(RetryDelay, DoublesItsLimitUpToASecond) {
  const double half = 0.5;
  std::vector<absl::Duration> delays;
  for (int attempts = 1; attempts <= 7; ++attempts) {
    delays.push_back(RetryDelay(attempts, std::nullopt, half));
  }
  using absl::Milliseconds;
  EXPECT_EQ(delays, (std::vector<absl::Duration>{
                        Milliseconds(25), Milliseconds(50), Milliseconds(100),
                        Milliseconds(200), Milliseconds(400), Milliseconds(500),
                        Milliseconds(500)}));
  EXPECT_EQ(RetryDelay(1'000'000, std::nullopt, half), Milliseconds(500));
}

TEST(RetryDelay, TakesAnyShareOfTheLimit) {
  EXPECT_EQ(RetryDelay(3, std::nullopt, 0), absl::ZeroDuration());
  EXPECT_EQ(RetryDelay(3, std::nullopt, 0.25), absl::Milliseconds(50));
  EXPECT_EQ(RetryDelay(3, std::nullopt, 0.75), absl::Milliseconds(150));
}

TEST(RetryDelay, AddsToTheTimeThatTheServerGave) {
  EXPECT_EQ(RetryDelay(1, absl::Seconds(3), 0), absl::Seconds(3));
  EXPECT_EQ(RetryDelay(1, absl::Seconds(3), 0.5), absl::Milliseconds(3025));
}

class RetryBudgetTest : public ::testing::Test {
 protected:
  int TakeAll() {
    int taken = 0;
    while (budget.Take(now)) ++taken;
    return taken;
  }

  absl::Time now = absl::UnixEpoch();
  RetryBudget budget{now};
};

TEST_F(RetryBudgetTest, StartsWithAHundredTokens) {
  EXPECT_EQ(TakeAll(), 100);
  EXPECT_EQ(TakeAll(), 0);
}

TEST_F(RetryBudgetTest, GainsTenInASecond) {
  TakeAll();
  now += absl::Milliseconds(50);
  EXPECT_FALSE(budget.Take(now));
  now += absl::Milliseconds(50);
  EXPECT_TRUE(budget.Take(now));
  EXPECT_FALSE(budget.Take(now));
  now += absl::Seconds(3);
  EXPECT_EQ(TakeAll(), 30);
  now += absl::Hours(1);
  EXPECT_EQ(TakeAll(), 100);
}

TEST_F(RetryBudgetTest, GainsNothingFromAClockThatGoesBack) {
  TakeAll();
  EXPECT_FALSE(budget.Take(now - absl::Seconds(10)));
  EXPECT_FALSE(budget.Take(now));
}

TEST_F(RetryBudgetTest, GainsOneFromFourCallsThatSucceed) {
  TakeAll();
  for (int i = 0; i < 3; ++i) budget.AddSuccess(/*took_token=*/false);
  EXPECT_EQ(TakeAll(), 0);
  for (int i = 0; i < 5; ++i) budget.AddSuccess(/*took_token=*/false);
  EXPECT_EQ(TakeAll(), 2);
}

TEST_F(RetryBudgetTest, GivesARetryThatSucceedsItsTokenBack) {
  TakeAll();
  budget.AddSuccess(/*took_token=*/true);
  budget.AddSuccess(/*took_token=*/true);
  EXPECT_EQ(TakeAll(), 2);
}

TEST_F(RetryBudgetTest, HoldsNoMoreThanAHundred) {
  budget.AddSuccess(/*took_token=*/true);
  budget.AddSuccess(/*took_token=*/false);
  EXPECT_EQ(TakeAll(), 100);
}

}  // namespace
}  // namespace groupnorm
