#include "kernels/moments.h"

#include <cmath>
#include <limits>

#include "kernels/multiply_add.h"

namespace groupnorm {

namespace {

// sum + error = a + b exactly (Knuth's TwoSum), unless something overflows.
struct ExactSum {
  double sum;
  double error;
};

ExactSum TwoSum(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

// Written so that a NaN stays one.
double AtLeastZero(double value) { return value < 0 ? 0 : value; }

}  // namespace

Moments MomentsFromSums(std::int64_t count, double pivot, SumPair sums) {
  const double offset = sums.first / static_cast<double>(count);
  const ExactSum mean = TwoSum(pivot, offset);
  return {mean.sum, mean.error,
          AtLeastZero(MulAdd(-sums.first, offset, sums.second))};
}

Moments Merge(std::int64_t count_a, const Moments& a, std::int64_t count_b,
              const Moments& b) {
  const auto na = static_cast<double>(count_a);
  const auto nb = static_cast<double>(count_b);
  const double n = na + nb;
  const double d = (b.mean - a.mean) + (b.mean_lo - a.mean_lo);
  const ExactSum sum = TwoSum(a.mean, d * nb / n);
  const ExactSum mean = TwoSum(sum.sum, sum.error + a.mean_lo);
  return {mean.sum, mean.error, MulAdd(d * d, na * nb / n, a.m2 + b.m2)};
}

Statistics StatisticsFromMoments(std::int64_t count, const Moments& moments,
                                 double epsilon) {
  if (std::isnan(moments.m2)) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return {kNan, kNan, kNan};
  }
  const double variance = moments.m2 / static_cast<double>(count);
  return {moments.mean, moments.mean_lo, 1.0 / std::sqrt(variance + epsilon)};
}

}  // namespace groupnorm
