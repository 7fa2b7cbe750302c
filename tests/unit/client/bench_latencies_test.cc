
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "client/cli/bench/latencies.h"

namespace groupnorm::bench {
namespace {

TEST(Latencies, HaveNoPercentilesWithoutCalls) {
  const Latencies none;
  EXPECT_EQ(none.count(), 0);
  EXPECT_EQ(none.Percentile(99), absl::ZeroDuration());
  EXPECT_EQ(none.Histogram(), "");
}

TEST(Latencies, AreExactWhereTheyAreShort) {
  Latencies latencies;
  for (int i = 100; i >= 1; --i) latencies.Add(absl::Nanoseconds(i));
  EXPECT_EQ(latencies.count(), 100);
  EXPECT_EQ(latencies.Percentile(0), absl::Nanoseconds(1));
  EXPECT_EQ(latencies.Percentile(50), absl::Nanoseconds(50));
  EXPECT_EQ(latencies.Percentile(99), absl::Nanoseconds(99));
  EXPECT_EQ(latencies.Percentile(99.9), absl::Nanoseconds(100));
  EXPECT_EQ(latencies.max(), absl::Nanoseconds(100));
}

TEST(Latencies, AreAtMostASixtyFourthTooLong) {
  for (std::int64_t exact = 1; exact < std::int64_t{1} << 60;
       exact += exact / 7 + 1) {
    Latencies latencies;
    latencies.Add(absl::Nanoseconds(exact));
    latencies.Add(absl::Nanoseconds(exact) * 3);
    const absl::Duration median = latencies.Percentile(50);
    EXPECT_GE(median, absl::Nanoseconds(exact));
    EXPECT_LE(median, absl::Nanoseconds(exact + exact / 64));
    EXPECT_EQ(latencies.Percentile(100), absl::Nanoseconds(exact) * 3);
  }
}

TEST(Latencies, CountNegativeOnesAsNone) {
  Latencies latencies;
  latencies.Add(absl::Seconds(-1));
  EXPECT_EQ(latencies.count(), 1);
  EXPECT_EQ(latencies.max(), absl::ZeroDuration());
}

TEST(Latencies, AreDrawnInLinesOfBars) {
  Latencies latencies;
  for (int i = 0; i < 10; ++i) latencies.Add(absl::Nanoseconds(10));
  latencies.Add(absl::Nanoseconds(17));
  EXPECT_EQ(latencies.Histogram(),
            "<=   11ns        10  "
            "##################################################\n"
            "<=   15ns         0\n"
            "<=   17ns         1  #####\n");
  latencies.Add(absl::Seconds(100));
  const std::string text = latencies.Histogram();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 20);
}

TEST(LatencyText, HasThreeDigits) {
  EXPECT_EQ(LatencyText(absl::Nanoseconds(999)), "999ns");
  EXPECT_EQ(LatencyText(absl::Nanoseconds(1000)), "1.00us");
  EXPECT_EQ(LatencyText(absl::Microseconds(12345)), "12.3ms");
  EXPECT_EQ(LatencyText(absl::Microseconds(999'900)), "1.00s");
  EXPECT_EQ(LatencyText(absl::Seconds(1234)), "1234s");
}

}  // namespace
}  // namespace groupnorm::bench
