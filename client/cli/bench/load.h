#ifndef GROUPNORM_CLIENT_CLI_BENCH_LOAD_H_
#define GROUPNORM_CLIENT_CLI_BENCH_LOAD_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/bench/latencies.h"

namespace groupnorm::bench {

/// How calls follow each other.
struct LoadOptions {
  int in_flight = 1;  ///< Calls at the same time. Positive.

  /// Calls a second at fixed instants, whatever becomes of those before (open
  /// loop). Where all `in_flight` are taken a call waits, and its latency
  /// counts from its instant. Unset: each call follows the one before (closed
  /// loop).
  std::optional<double> rate;

  /// Calls of this time at first are not counted.
  absl::Duration warm_up;
  absl::Duration duration;
};

/// What a load met. All counts are of calls after the warm-up.
struct LoadResult {
  Latencies latencies;         ///< Of the calls that succeeded.
  std::int64_t failed = 0;     ///< Calls.
  std::int64_t unsent = 0;     ///< Calls due whose turn never came.
  absl::Status first_failure;  ///< OK where none failed.
  absl::Duration elapsed;      ///< Until the last answer.
};

/// Starts a call with the resources of `slot` (0 to in_flight - 1), which has
/// no other call, and runs `done` when it is over, on any thread, before or
/// after it returns.
using StartCall = std::function<void(
    int slot, std::function<void(const absl::Status&)> done)>;

/// Puts a load on whatever `start` calls, and returns when all calls are over.
/// `progress` is called about ten times a second with the calls answered and
/// the time since the start.
LoadResult RunLoad(const LoadOptions& options, const StartCall& start,
                   const std::function<void(std::int64_t answered,
                                            absl::Duration since)>& progress);

}  // namespace groupnorm::bench

#endif  // GROUPNORM_CLIENT_CLI_BENCH_LOAD_H_
