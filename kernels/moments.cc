#include "kernels/moments.h"

#include <cmath>
#include <limits>

#include "kernels/multiply_add.h"

namespace groupnorm {

namespace {

// An unevaluated sum whose first part is the whole rounded to double.
struct DoubleDouble {
  double hi;
  double lo;
};

// a + b exactly (Knuth's TwoSum), unless something overflows.
DoubleDouble TwoSum(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

DoubleDouble Add(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble sum = TwoSum(a.hi, b.hi);
  return TwoSum(sum.hi, sum.lo + (a.lo + b.lo));
}

// a b / c, good to a few units of 2^-104 for whole numbers b and c.
DoubleDouble MultiplyDivide(DoubleDouble a, double b, double c) {
  const double product = a.hi * b;
  const double product_lo = MulAdd(a.hi, b, -product) + a.lo * b;
  const double quotient = product / c;
  const double remainder = MulAdd(-quotient, c, product) + product_lo;
  return {quotient, remainder / c};
}

}  // namespace

Moments MomentsFromSums(std::int64_t count, double base, double pivot,
                        const CompensatedPair& sums) {
  const auto n = static_cast<double>(count);
  const DoubleDouble offset =
      MultiplyDivide({sums.first.sum(), sums.first.error()}, 1, n);
  const DoubleDouble mean = Add({base, 0}, offset);
  // All values equal the pivot, which no rounding of their sum may blur. Beside
  // a pivot below 2^-480 they may also differ so little that the squares
  // underflow, as those of subnormal numbers do: then the mean tells.
  if (sums.second.value() == 0 &&
      (std::fabs(pivot) >= 0x1p-480 ||
       std::fabs(mean.hi - pivot) <= 0x1p-50 * std::fabs(pivot))) {
    return {pivot, 0, 0};
  }
  const double d = (mean.hi - pivot) + mean.lo;
  const double m2 = MulAdd(-n * d, d, sums.second.value());
  // Written so that a NaN stays one.
  return {mean.hi, mean.lo, m2 < 0 ? 0 : m2};
}

Moments Merge(std::int64_t count_a, const Moments& a, std::int64_t count_b,
              const Moments& b) {
  const auto na = static_cast<double>(count_a);
  const auto nb = static_cast<double>(count_b);
  const double n = na + nb;
  const DoubleDouble mean_a = {a.mean, a.mean_lo};
  const DoubleDouble d = Add({b.mean, b.mean_lo}, {-a.mean, -a.mean_lo});
  const DoubleDouble mean = Add(mean_a, MultiplyDivide(d, nb, n));
  return {mean.hi, mean.lo, MulAdd(d.hi * d.hi, na * nb / n, a.m2 + b.m2)};
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
