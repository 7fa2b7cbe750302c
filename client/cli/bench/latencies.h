#ifndef GROUPNORM_CLIENT_CLI_BENCH_LATENCIES_H_
#define GROUPNORM_CLIENT_CLI_BENCH_LATENCIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace groupnorm::bench {

/// The latencies of any number of calls, in buckets of 1/64 of their size: 30
/// KiB of memory. Not thread-safe.
class Latencies {
 public:
  /// Counts a call. Negative counts as none.
  void Add(absl::Duration latency);

  std::int64_t count() const { return count_; }

  /// The time within which `percent` of the calls (0 to 100) were answered: at
  /// most 1/64 above the exact one, and never beyond the longest. 0 where there
  /// are no calls.
  absl::Duration Percentile(double percent) const;

  absl::Duration max() const { return max_; }

  /// A line for each range of latencies, from the shortest to the longest: its
  /// upper end, the calls in it, a bar. Empty where there are no calls.
  std::string Histogram() const;

 private:
  static constexpr std::size_t kNumBuckets = 3776;  // Up to 2^63 ns.

  std::array<std::int64_t, kNumBuckets> buckets_{};
  std::int64_t count_ = 0;
  absl::Duration max_;
};

/// Three significant digits with a unit: "850us", "1.23ms", "12.3s".
std::string LatencyText(absl::Duration latency);

}  // namespace groupnorm::bench

#endif  // GROUPNORM_CLIENT_CLI_BENCH_LATENCIES_H_
