#include "client/cli/bench/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "absl/strings/str_format.h"

namespace groupnorm::bench {

namespace {

// Below 128 ns a bucket is a nanosecond; from there on 64 buckets share every
// power of two.
constexpr int kBucketBits = 6;
constexpr std::size_t kBucketsPerOctave = std::size_t{1} << kBucketBits;

std::size_t BucketOf(std::uint64_t nanoseconds) {
  const int width = static_cast<int>(std::bit_width(nanoseconds));
  const int shift = std::max(0, width - kBucketBits - 1);
  return static_cast<std::size_t>(shift) * kBucketsPerOctave +
         static_cast<std::size_t>(nanoseconds >> shift);
}

// The longest latency that falls into a bucket.
absl::Duration UpperEnd(std::size_t bucket) {
  const std::size_t octave = bucket / kBucketsPerOctave;
  const std::size_t shift = octave > 1 ? octave - 1 : 0;
  const std::uint64_t mantissa = bucket - shift * kBucketsPerOctave;
  return absl::Nanoseconds(
      static_cast<std::int64_t>(((mantissa + 1) << shift) - 1));
}

}  // namespace

void Latencies::Add(absl::Duration latency) {
  latency = std::max(latency, absl::ZeroDuration());
  ++buckets_[BucketOf(
      static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(latency)))];
  ++count_;
  max_ = std::max(max_, latency);
}

absl::Duration Latencies::Percentile(double percent) const {
  const auto rank = std::max<std::int64_t>(
      1,
      std::llround(std::ceil(percent / 100.0 * static_cast<double>(count_))));
  std::int64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kNumBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return std::min(UpperEnd(bucket), max_);
  }
  return max_;
}

std::string Latencies::Histogram() const {
  constexpr std::size_t kMaxRows = 20;
  constexpr double kBarWidth = 50;
  if (count_ == 0) return "";
  const auto is_used = [](std::int64_t calls) { return calls > 0; };
  const auto first = static_cast<std::size_t>(
      std::find_if(buckets_.begin(), buckets_.end(), is_used) -
      buckets_.begin());
  const std::size_t last =
      kNumBuckets - 1 -
      static_cast<std::size_t>(
          std::find_if(buckets_.rbegin(), buckets_.rend(), is_used) -
          buckets_.rbegin());
  // As fine as fits.
  std::size_t per_row = kBucketsPerOctave / 16;
  while (last / per_row - first / per_row >= kMaxRows) per_row *= 2;

  std::vector<std::int64_t> rows(last / per_row - first / per_row + 1);
  for (std::size_t bucket = first; bucket <= last; ++bucket) {
    rows[bucket / per_row - first / per_row] += buckets_[bucket];
  }
  const auto most =
      static_cast<double>(*std::max_element(rows.begin(), rows.end()));
  std::string text;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::size_t end = (first / per_row + row + 1) * per_row - 1;
    const auto calls = static_cast<double>(rows[row]);
    const auto bar =
        static_cast<std::size_t>(std::ceil(calls / most * kBarWidth));
    absl::StrAppendFormat(
        &text, "<= %6s %9d%s%s\n",
        LatencyText(std::min(UpperEnd(std::min(end, kNumBuckets - 1)), max_)),
        rows[row], bar > 0 ? "  " : "", std::string(bar, '#'));
  }
  return text;
}

std::string LatencyText(absl::Duration latency) {
  double value = absl::ToDoubleNanoseconds(latency);
  const char* unit = "ns";
  for (const char* const next : {"us", "ms", "s"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  // Nanoseconds are whole; of a thousand seconds all digits count.
  const int decimals = *unit == 'n' || value >= 99.95 ? 0
                       : value >= 9.995               ? 1
                                                      : 2;
  return absl::StrFormat("%.*f%s", decimals, value, unit);
}

}  // namespace groupnorm::bench
