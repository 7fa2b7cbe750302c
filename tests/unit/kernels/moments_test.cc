#include "kernels/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/block_moments.h"
#include "kernels/lane_sums.h"

namespace groupnorm {
namespace {

struct ExactMoments {
  long double mean;
  long double m2;
};

ExactMoments ExactMomentsOf(const std::vector<double>& values) {
  long double sum = 0;
  for (const double value : values) sum += value - values[0];
  const long double offset = sum / static_cast<long double>(values.size());
  long double m2 = 0;
  for (const double value : values) {
    const long double d = (value - values[0]) - offset;
    m2 += d * d;
  }
  return {values[0] + offset, m2};
}

GroupGeometry OneGroup(std::size_t values) {
  GroupGeometry geometry;
  geometry.batch = geometry.channels = geometry.num_groups = 1;
  geometry.spatial = static_cast<std::int64_t>(values);
  return geometry;
}

std::vector<double> NormalValues(std::size_t count, double mean, double std) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal(mean, std);
  std::vector<double> values(count);
  for (double& value : values) value = normal(random);
  return values;
}

TEST(Moments, OfBlocksMergeToThoseOfTheWholeAtAnyMean) {
  for (const double mean : {0., 1e3, -1e6, 1e9, 1e12}) {
    SCOPED_TRACE(mean);
    const std::vector<double> values = NormalValues(200000, mean, 1);
    const Blocks blocks(OneGroup(values.size()));
    ASSERT_EQ(blocks.per_group(), 4);
    Moments merged;
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < blocks.per_group(); ++i) {
      const Block block = blocks.OfGroup(0, 0, i);
      const Moments moments = BlockMoments(values.data(), block);
      merged = i == 0 ? moments : Merge(count, merged, block.count(), moments);
      count += block.count();
    }
    const ExactMoments exact = ExactMomentsOf(values);
    const long double n = static_cast<long double>(values.size());
    const long double std = std::sqrt(exact.m2 / n);
    // Beyond 1e6 the long double sum is what limits the comparison.
    EXPECT_LE(std::fabs((merged.mean - exact.mean) + merged.mean_lo),
              1e-15L * std + std::fabs(exact.mean) * 0x1p-62L);
    EXPECT_LE(std::fabs(merged.m2 - exact.m2), 1e-13L * exact.m2);
    EXPECT_LE(std::fabs(merged.mean_lo), std::fabs(merged.mean) * 0x1p-53);
  }
}

TEST(Moments, OfTwoFarSetsAreThoseOfTheirDistance) {
  // 3 values at 0 and 1 at 4: mean 1, M2 = 3 + 9.
  const Moments merged = Merge(3, {0, 0, 0}, 1, {4, 0, 0});
  EXPECT_EQ(merged.mean, 1);
  EXPECT_EQ(merged.mean_lo, 0);
  EXPECT_EQ(merged.m2, 12);
}

TEST(Moments, KeepWhatIsBelowTheMeansLastPlace) {
  // 2^53 + 1 is no double.
  const Moments merged = Merge(1, {0x1p53, 0, 0}, 1, {0x1p53 + 2, 0, 0});
  EXPECT_EQ(merged.mean + (merged.mean_lo - 1), 0x1p53);
  EXPECT_EQ(merged.m2, 2);
}

TEST(Moments, OfEqualValuesHaveNoSpread) {
  for (const double value : {0.1, -1e6 / 3, 1e150, 1e-150}) {
    const std::vector<double> values(1000, value);
    const Moments moments =
        BlockMoments(values.data(), Blocks(OneGroup(1000)).OfGroup(0, 0, 0));
    EXPECT_EQ(moments.mean, value);
    EXPECT_EQ(moments.mean_lo, 0);
    EXPECT_EQ(moments.m2, 0);
  }
}

TEST(Moments, OfSubnormalNumbersHaveTheirMean) {
  const std::vector<double> values = {0x1p-1040, 0x1p-1030, -0x1p-1035, 0};
  const Blocks blocks(OneGroup(values.size()));
  const Moments moments = BlockMoments(values.data(), blocks.OfGroup(0, 0, 0));
  EXPECT_EQ(moments.mean, 0x1p-1042 + 0x1p-1032 - 0x1p-1037);
  EXPECT_EQ(moments.m2, 0);
}

TEST(Statistics, AreNanWhereTheMomentsAre) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const Statistics statistics = StatisticsFromMoments(4, {1, 0, kNan}, 1e-5);
  EXPECT_TRUE(std::isnan(statistics.mean));
  EXPECT_TRUE(std::isnan(statistics.rstd));
}

TEST(Statistics, UseTheBiasedVariance) {
  EXPECT_EQ(StatisticsFromMoments(4, {1, 0, 9}, 0).rstd, 1 / 1.5);
}

TEST(CompensatedSum, KeepsWhatPlainSumsLose) {
  CompensatedSum sum;
  for (const double value : {1e16, 1.0, 1.0, 1.0, -1e16}) sum.Add(value);
  EXPECT_EQ(sum.value(), 3);
}

TEST(CompensatedSum, IsInfiniteOrNanAsAPlainSum) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CompensatedSum sum;
  sum.Add(kInfinity);
  sum.Add(1);
  EXPECT_EQ(sum.value(), kInfinity);
  CompensatedSum other;
  other.Add(-kInfinity);
  sum.Add(other);
  EXPECT_TRUE(std::isnan(sum.value()));
}

// Sums of whole numbers are exact, so any order gives the same.
TEST(SumRun, AddsEveryValueOnce) {
  for (const std::int64_t count :
       {0, 1, 2, 3, 31, 32, 33, 63, 511, 512, 513, 1000, 5000}) {
    const auto term = [](std::int64_t i, double& first, double& second) {
      first += static_cast<double>(i + 1);
      second += 1;
    };
    const CompensatedPair narrow = SumRun<float>(count, term);
    EXPECT_EQ(narrow.first.value(),
              static_cast<double>(count * (count + 1) / 2));
    EXPECT_EQ(narrow.second.value(), static_cast<double>(count));
    const CompensatedPair wide = SumRun<double>(count, term);
    EXPECT_EQ(wide.first.value(), narrow.first.value());
    EXPECT_EQ(wide.second.value(), narrow.second.value());
  }
}

TEST(SumRows, AddsEveryElementToItsColumn) {
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 63, 64, 65, 1000}) {
    for (int columns = 1; columns <= kMaxColumns; ++columns) {
      CompensatedPair sums[kMaxColumns];
      SumRows<float>(
          rows, columns,
          [](std::int64_t row, int column, double& first, double& second) {
            first += static_cast<double>(row);
            second += column;
          },
          sums);
      for (int column = 0; column < columns; ++column) {
        ASSERT_EQ(sums[column].first.value(),
                  static_cast<double>(rows * (rows - 1) / 2));
        ASSERT_EQ(sums[column].second.value(),
                  static_cast<double>(rows * column));
      }
    }
  }
}

TEST(RunSum, AddsEverySumOnce) {
  for (const std::int64_t count : {1, 2, 31, 32, 33, 600, 5000}) {
    RunSum sum(count);
    for (std::int64_t i = 1; i <= count; ++i) {
      sum.Add(static_cast<double>(i), 1.0);
    }
    const CompensatedPair total = sum.Total();
    EXPECT_EQ(total.first.value(),
              static_cast<double>(count * (count + 1) / 2));
    EXPECT_EQ(total.second.value(), static_cast<double>(count));
  }
}

}  // namespace
}  // namespace groupnorm
