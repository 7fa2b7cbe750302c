#include "kernels/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/compensated_sum.h"
#include "tests/unit/kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/unit/kernels/moments_test.cc"
#include "hwy/foreach_target.h"
#include "kernels/block_moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {
namespace {

Moments MergeOf(std::int64_t count_a, const Moments& a, std::int64_t count_b,
                const Moments& b) {
  Moments merged = a;
  MergeMoments(count_a, &merged, count_b, &b, 1);
  return merged;
}

Statistics StatisticsOf(std::int64_t count, const Moments& moments,
                        double epsilon) {
  Statistics statistics;
  StatisticsFromMoments(count, &moments, epsilon, 1, &statistics);
  return statistics;
}

// Of all values, as one group.
Moments MomentsOf(const std::vector<double>& values) {
  GroupGeometry geometry;
  geometry.batch = geometry.channels = geometry.num_groups = 1;
  geometry.spatial = static_cast<std::int64_t>(values.size());
  const Blocks blocks(geometry);
  Moments moments;
  PanelMoments(blocks, values.data(), blocks.PanelOf(0, 0), &moments);
  return moments;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace groupnorm {
namespace {

HWY_EXPORT(MergeOf);
HWY_EXPORT(StatisticsOf);
HWY_EXPORT(MomentsOf);

// Calls `test` under every instruction set.
template <typename Test>
void OnEveryTarget(Test test) {
  ForEachSupportedSimdTarget([&](const SimdTargetOfKernels& target) {
    SCOPED_TRACE(target.name);
    test();
  });
}

Moments Merge(std::int64_t count_a, const Moments& a, std::int64_t count_b,
              const Moments& b) {
  return HWY_DYNAMIC_DISPATCH(MergeOf)(count_a, a, count_b, b);
}

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

std::vector<double> NormalValues(std::size_t count, double mean, double std) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal(mean, std);
  std::vector<double> values(count);
  for (double& value : values) value = normal(random);
  return values;
}

TEST(Moments, OfBlocksMergeToThoseOfTheWholeAtAnyMean) {
  OnEveryTarget([] {
    for (const double mean : {0., 1e3, -1e6, 1e9, 1e12}) {
      SCOPED_TRACE(mean);
      const std::vector<double> values = NormalValues(200000, mean, 1);
      const Moments moments = HWY_DYNAMIC_DISPATCH(MomentsOf)(values);
      const ExactMoments exact = ExactMomentsOf(values);
      const long double n = static_cast<long double>(values.size());
      const long double std = std::sqrt(exact.m2 / n);
      // Beyond 1e6 the long double sum is what limits the comparison.
      EXPECT_LE(std::fabs((moments.mean - exact.mean) + moments.mean_lo),
                1e-15L * std + std::fabs(exact.mean) * 0x1p-62L);
      EXPECT_LE(std::fabs(moments.m2 - exact.m2), 1e-13L * exact.m2);
      EXPECT_LE(std::fabs(moments.mean_lo), std::fabs(moments.mean) * 0x1p-53);
    }
  });
}

TEST(Moments, OfTwoFarSetsAreThoseOfTheirDistance) {
  OnEveryTarget([] {
    // 3 values at 0 and 1 at 4: mean 1, M2 = 3 + 9.
    const Moments merged = Merge(3, {0, 0, 0}, 1, {4, 0, 0});
    EXPECT_EQ(merged.mean, 1);
    EXPECT_EQ(merged.mean_lo, 0);
    EXPECT_EQ(merged.m2, 12);
  });
}

TEST(Moments, KeepWhatIsBelowTheMeansLastPlace) {
  OnEveryTarget([] {
    // 2^53 + 1 is no double.
    const Moments merged = Merge(1, {0x1p53, 0, 0}, 1, {0x1p53 + 2, 0, 0});
    EXPECT_EQ(merged.mean + (merged.mean_lo - 1), 0x1p53);
    EXPECT_EQ(merged.m2, 2);
  });
}

TEST(Moments, OfEqualValuesHaveNoSpread) {
  OnEveryTarget([] {
    for (const double value : {0.1, -1e6 / 3, 1e150, 1e-150}) {
      const Moments moments =
          HWY_DYNAMIC_DISPATCH(MomentsOf)(std::vector<double>(1000, value));
      EXPECT_EQ(moments.mean, value);
      EXPECT_EQ(moments.mean_lo, 0);
      EXPECT_EQ(moments.m2, 0);
    }
  });
}

TEST(Moments, OfSubnormalNumbersHaveTheirMean) {
  OnEveryTarget([] {
    const Moments moments =
        HWY_DYNAMIC_DISPATCH(MomentsOf)({0x1p-1040, 0x1p-1030, -0x1p-1035, 0});
    EXPECT_EQ(moments.mean, 0x1p-1042 + 0x1p-1032 - 0x1p-1037);
    EXPECT_EQ(moments.m2, 0);
  });
}

TEST(Statistics, AreNanWhereTheMomentsAre) {
  OnEveryTarget([] {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    const Statistics statistics =
        HWY_DYNAMIC_DISPATCH(StatisticsOf)(4, {1, 0, kNan}, 1e-5);
    EXPECT_TRUE(std::isnan(statistics.mean));
    EXPECT_TRUE(std::isnan(statistics.rstd));
  });
}

TEST(Statistics, UseTheBiasedVariance) {
  OnEveryTarget([] {
    EXPECT_EQ(HWY_DYNAMIC_DISPATCH(StatisticsOf)(4, {1, 0, 9}, 0).rstd,
              1 / 1.5);
  });
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

}  // namespace
}  // namespace groupnorm
#endif
