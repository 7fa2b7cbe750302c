#include "server/call_count.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace groupnorm {
namespace {

TEST(CallCount, IsEmptyWithoutMembers) {
  CallCount count;
  EXPECT_TRUE(count.AwaitNone(absl::InfinitePast()));
}

TEST(CallCount, GivesUpAtTheDeadline) {
  CallCount count;
  CallCount::Member member(count);
  EXPECT_FALSE(count.AwaitNone(absl::InfinitePast()));
}

TEST(CallCount, WaitsForTheLastMember) {
  CallCount count;
  std::optional<CallCount::Member> first(count), second(count);
  first.reset();
  EXPECT_FALSE(count.AwaitNone(absl::InfinitePast()));
  std::thread other([&second] { second.reset(); });
  EXPECT_TRUE(count.AwaitNone(absl::InfiniteFuture()));
  other.join();
}

TEST(CallCount, IsQuietWhereNobodyJoinedForAWhile) {
  CallCount count;
  count.AwaitQuiet(absl::Hours(1), absl::InfiniteFuture());
  const absl::Time joined = absl::Now();
  CallCount::Member member(count);
  count.AwaitQuiet(absl::Milliseconds(1), absl::InfiniteFuture());
  EXPECT_GE(absl::Now(), joined + absl::Milliseconds(1));
}

TEST(CallCount, DoesNotWaitForQuietBeyondTheDeadline) {
  CallCount count;
  CallCount::Member member(count);
  count.AwaitQuiet(absl::Hours(1), absl::Now() + absl::Milliseconds(1));
  count.AwaitQuiet(absl::InfiniteDuration(), absl::InfinitePast());
}

}  // namespace
}  // namespace groupnorm
