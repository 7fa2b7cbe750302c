// The arithmetic of moments, for as many groups at once as a vector holds.

#if defined(GROUPNORM_KERNELS_MOMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/compensated_sum.h"
#include "kernels/moments.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// What the sums of a block are taken about: x - base and (x - pivot)^2.
struct Pivot {
  double base = 0;
  double pivot = 0;
};

/// The same member of as many structures as a vector holds; the lanes from
/// `count` on are those of the first.
template <class Struct>
HWY_INLINE DoubleVector Gather(const Struct* structures, std::int64_t count,
                               double Struct::*member) {
  HWY_ALIGN double values[kDoubles];
  for (std::int64_t i = 0; i < kDoubles; ++i) {
    values[i] = structures[i < count ? i : 0].*member;
  }
  return hn::Load(Doubles(), values);
}

template <class Struct>
HWY_INLINE void Scatter(DoubleVector v, std::int64_t count, Struct* structures,
                        double Struct::*member) {
  HWY_ALIGN double values[kDoubles];
  hn::Store(v, Doubles(), values);
  for (std::int64_t i = 0; i < count; ++i) structures[i].*member = values[i];
}

/// Unevaluated sums whose first parts are the wholes rounded to double.
struct DoubleDoubles {
  DoubleVector hi;
  DoubleVector lo;
};

/// a + b exactly (Knuth's TwoSum), unless something overflows.
HWY_INLINE DoubleDoubles TwoSum(DoubleVector a, DoubleVector b) {
  const auto sum = hn::Add(a, b);
  const auto part = hn::Sub(sum, a);
  return {sum, hn::Add(hn::Sub(a, hn::Sub(sum, part)), hn::Sub(b, part))};
}

HWY_INLINE DoubleDoubles Add(const DoubleDoubles& a, const DoubleDoubles& b) {
  const DoubleDoubles sum = TwoSum(a.hi, b.hi);
  return TwoSum(sum.hi, hn::Add(sum.lo, hn::Add(a.lo, b.lo)));
}

/// a b / c, good to a few units of 2^-104 for whole numbers b and c.
HWY_INLINE DoubleDoubles MultiplyDivide(const DoubleDoubles& a, DoubleVector b,
                                        DoubleVector c) {
  const Doubles d;
  const auto product = hn::Mul(a.hi, b);
  const auto product_lo =
      hn::Add(MulAdd(d, a.hi, b, hn::Neg(product)), hn::Mul(a.lo, b));
  const auto quotient = hn::Div(product, c);
  const auto remainder =
      hn::Add(MulAdd(d, hn::Neg(quotient), c, product), product_lo);
  return {quotient, hn::Div(remainder, c)};
}

/// The moments of `num_groups` groups, of `count` values x each, from their
/// sums of x - base (first) and of (x - pivot)^2 (second).
HWY_NOINLINE inline void MomentsFromSums(std::int64_t count,
                                         const Pivot* pivots,
                                         const CompensatedPair* sums,
                                         std::int64_t num_groups,
                                         Moments* moments) {
  const Doubles d;
  const auto n = hn::Set(d, static_cast<double>(count));
  for (std::int64_t i = 0; i < num_groups; i += kDoubles) {
    const std::int64_t groups = std::min(kDoubles, num_groups - i);
    HWY_ALIGN double first[kDoubles];
    HWY_ALIGN double first_error[kDoubles];
    HWY_ALIGN double second_sum[kDoubles];
    for (std::int64_t g = 0; g < kDoubles; ++g) {
      const CompensatedPair& pair = sums[i + (g < groups ? g : 0)];
      first[g] = pair.first.sum();
      first_error[g] = pair.first.error();
      second_sum[g] = pair.second.value();
    }
    const auto second = hn::Load(d, second_sum);
    const auto pivot = Gather(pivots + i, groups, &Pivot::pivot);
    const DoubleDoubles offset = MultiplyDivide(
        {hn::Load(d, first), hn::Load(d, first_error)}, hn::Set(d, 1.0), n);
    const DoubleDoubles mean =
        Add({Gather(pivots + i, groups, &Pivot::base), hn::Zero(d)}, offset);
    // All values equal the pivot, which no rounding of their sum may blur.
    // Beside a pivot below 2^-480 they may also differ so little that the
    // squares underflow, as those of subnormal numbers do: then the mean tells.
    const auto magnitude = hn::Abs(pivot);
    const auto near_pivot = hn::Le(hn::Abs(hn::Sub(mean.hi, pivot)),
                                   hn::Mul(hn::Set(d, 0x1p-50), magnitude));
    const auto all_equal =
        hn::And(hn::Eq(second, hn::Zero(d)),
                hn::Or(hn::Ge(magnitude, hn::Set(d, 0x1p-480)), near_pivot));
    const auto deviation = hn::Add(hn::Sub(mean.hi, pivot), mean.lo);
    const auto m2 =
        MulAdd(d, hn::Mul(hn::Neg(n), deviation), deviation, second);
    // Written so that a NaN stays one.
    const auto no_spread = hn::Or(all_equal, hn::Lt(m2, hn::Zero(d)));
    Scatter(hn::IfThenElse(all_equal, pivot, mean.hi), groups, moments + i,
            &Moments::mean);
    Scatter(hn::IfThenZeroElse(all_equal, mean.lo), groups, moments + i,
            &Moments::mean_lo);
    Scatter(hn::IfThenZeroElse(no_spread, m2), groups, moments + i,
            &Moments::m2);
  }
}

/// Makes `moments`, of sets of `count` values, those of their unions with the
/// sets of `other_count` values whose moments are `others` (T. F. Chan, G. H.
/// Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for
/// computing sample variances", 1979). Both counts are 1 or more.
HWY_NOINLINE inline void MergeMoments(std::int64_t count, Moments* moments,
                                      std::int64_t other_count,
                                      const Moments* others,
                                      std::int64_t num_groups) {
  const Doubles d;
  const auto na = hn::Set(d, static_cast<double>(count));
  const auto nb = hn::Set(d, static_cast<double>(other_count));
  const auto n = hn::Add(na, nb);
  const auto ratio = hn::Div(hn::Mul(na, nb), n);
  for (std::int64_t i = 0; i < num_groups; i += kDoubles) {
    const std::int64_t groups = std::min(kDoubles, num_groups - i);
    const DoubleDoubles mean_a = {
        Gather(moments + i, groups, &Moments::mean),
        Gather(moments + i, groups, &Moments::mean_lo)};
    const DoubleDoubles mean_b = {
        Gather(others + i, groups, &Moments::mean),
        Gather(others + i, groups, &Moments::mean_lo)};
    const DoubleDoubles difference =
        Add(mean_b, {hn::Neg(mean_a.hi), hn::Neg(mean_a.lo)});
    const DoubleDoubles mean = Add(mean_a, MultiplyDivide(difference, nb, n));
    const auto m2 = hn::Add(Gather(moments + i, groups, &Moments::m2),
                            Gather(others + i, groups, &Moments::m2));
    Scatter(mean.hi, groups, moments + i, &Moments::mean);
    Scatter(mean.lo, groups, moments + i, &Moments::mean_lo);
    Scatter(MulAdd(d, hn::Mul(difference.hi, difference.hi), ratio, m2), groups,
            moments + i, &Moments::m2);
  }
}

/// The statistics of groups of `count` values. All NaN where m2 is NaN.
HWY_NOINLINE inline void StatisticsFromMoments(std::int64_t count,
                                               const Moments* moments,
                                               double epsilon,
                                               std::int64_t num_groups,
                                               Statistics* statistics) {
  const Doubles d;
  const auto nan = hn::Set(d, std::numeric_limits<double>::quiet_NaN());
  const auto n = hn::Set(d, static_cast<double>(count));
  for (std::int64_t i = 0; i < num_groups; i += kDoubles) {
    const std::int64_t groups = std::min(kDoubles, num_groups - i);
    const auto m2 = Gather(moments + i, groups, &Moments::m2);
    const auto is_nan = hn::IsNaN(m2);
    const auto variance = hn::Div(m2, n);
    const auto rstd = hn::Div(hn::Set(d, 1.0),
                              hn::Sqrt(hn::Add(variance, hn::Set(d, epsilon))));
    const auto mean = Gather(moments + i, groups, &Moments::mean);
    const auto mean_lo = Gather(moments + i, groups, &Moments::mean_lo);
    Scatter(hn::IfThenElse(is_nan, nan, mean), groups, statistics + i,
            &Statistics::mean);
    Scatter(hn::IfThenElse(is_nan, nan, mean_lo), groups, statistics + i,
            &Statistics::mean_lo);
    Scatter(rstd, groups, statistics + i, &Statistics::rstd);
    Scatter(variance, groups, statistics + i, &Statistics::variance);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_MOMENTS_INL_H_
