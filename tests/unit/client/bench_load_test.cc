#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/bench/load.h"

namespace groupnorm::bench {
namespace {

constexpr auto kNoProgress = [](std::int64_t, absl::Duration) {};

LoadOptions ForAMoment() {
  LoadOptions options;
  options.in_flight = 2;
  options.duration = absl::Milliseconds(20);
  return options;
}

TEST(RunLoad, DoesNotStackCallsThatEndBeforeTheirStartReturns) {
  int depth = 0, deepest = 0;
  const LoadResult result = RunLoad(
      ForAMoment(),
      [&](int /*slot*/, const std::function<void(const absl::Status&)>& done) {
        deepest = std::max(deepest, ++depth);
        done(absl::OkStatus());
        --depth;
      },
      kNoProgress);
  EXPECT_GT(result.latencies.count(), 0);
  EXPECT_EQ(deepest, 1);
}

TEST(RunLoad, FollowsUpOnCallsThatEndOnAnotherThread) {
  std::int64_t started = 0;
  LoadOptions options = ForAMoment();
  options.in_flight = 1;
  const LoadResult result = RunLoad(
      options,
      [&](int /*slot*/, std::function<void(const absl::Status&)> done) {
        ++started;
        std::thread([done = std::move(done)] {
          done(absl::OkStatus());
        }).detach();
      },
      kNoProgress);
  EXPECT_GT(result.latencies.count(), 0);
  EXPECT_EQ(result.latencies.count(), started);
}

TEST(RunLoad, CountsWhatFailsAndKeepsTheFirstReason) {
  int calls = 0;
  LoadOptions options = ForAMoment();
  options.in_flight = 1;
  const LoadResult result = RunLoad(
      options,
      [&](int /*slot*/, const std::function<void(const absl::Status&)>& done) {
        done(++calls == 1 ? absl::UnavailableError("first")
                          : absl::InternalError("later"));
      },
      kNoProgress);
  EXPECT_EQ(result.failed, calls);
  EXPECT_EQ(result.latencies.count(), 0);
  EXPECT_EQ(result.first_failure, absl::UnavailableError("first"));
}

}  // namespace
}  // namespace groupnorm::bench
