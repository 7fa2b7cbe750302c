#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/bench/load.h"

namespace groupnorm::bench {
namespace {

constexpr auto kNoProgress = [](std::int64_t, absl::Duration) {};

// Far longer than any machine needs to start a few calls.
constexpr absl::Duration kDuration = absl::Seconds(1);
constexpr int kCalls = 10;

LoadOptions WithCallsInFlight(int in_flight) {
  LoadOptions options;
  options.in_flight = in_flight;
  options.duration = kDuration;
  return options;
}

// The last of kCalls lasts beyond the end of the load, so that none follows.
void LastUntilTheEndIfLast(std::int64_t calls) {
  if (calls >= kCalls) absl::SleepFor(kDuration);
}

TEST(RunLoad, DoesNotStackCallsThatEndBeforeTheirStartReturns) {
  int depth = 0, deepest = 0, calls = 0;
  const LoadResult result = RunLoad(
      WithCallsInFlight(2),
      [&](int /*slot*/, const std::function<void(const absl::Status&)>& done) {
        deepest = std::max(deepest, ++depth);
        LastUntilTheEndIfLast(++calls);
        done(absl::OkStatus());
        --depth;
      },
      kNoProgress);
  EXPECT_EQ(result.latencies.count(), kCalls);
  EXPECT_EQ(deepest, 1);
}

TEST(RunLoad, FollowsUpOnCallsThatEndOnAnotherThread) {
  std::int64_t started = 0;
  const LoadResult result = RunLoad(
      WithCallsInFlight(1),
      [&](int /*slot*/, std::function<void(const absl::Status&)> done) {
        LastUntilTheEndIfLast(++started);
        std::thread([done = std::move(done)] {
          done(absl::OkStatus());
        }).detach();
      },
      kNoProgress);
  EXPECT_EQ(result.latencies.count(), kCalls);
  EXPECT_EQ(started, kCalls);
}

TEST(RunLoad, CountsWhatFailsAndKeepsTheFirstReason) {
  int calls = 0;
  const LoadResult result = RunLoad(
      WithCallsInFlight(1),
      [&](int /*slot*/, const std::function<void(const absl::Status&)>& done) {
        LastUntilTheEndIfLast(calls + 1);
        done(++calls == 1 ? absl::UnavailableError("first")
                          : absl::InternalError("later"));
      },
      kNoProgress);
  EXPECT_EQ(calls, kCalls);
  EXPECT_EQ(result.failed, kCalls);
  EXPECT_EQ(result.latencies.count(), 0);
  EXPECT_EQ(result.first_failure, absl::UnavailableError("first"));
}

}  // namespace
}  // namespace groupnorm::bench
