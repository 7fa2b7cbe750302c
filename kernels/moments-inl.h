// The arithmetic of moments, for as many groups at once as a vector holds.

#if defined(GROUPNORM_KERNELS_MOMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
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

/// Loads as many structures as a vector holds, which have as many doubles as
/// there are `members`, each member of all of them into a vector. The lanes
/// from `count` on are those of the first structure. Whole vectors are loaded,
/// and stored by StoreMembers: a load that gathers several younger stores would
/// wait until the cache has them.
template <class Struct, class... Vectors>
HWY_INLINE void LoadMembers(const Struct* structures, std::int64_t count,
                            Vectors&... members) {
  constexpr std::int64_t kMembers = sizeof...(members);
  static_assert(sizeof(Struct) == kMembers * sizeof(double));
  const Doubles d;
  HWY_ALIGN double copies[kMembers * kDoubles];
  const auto* doubles = reinterpret_cast<const double*>(structures);
  if (count < kDoubles) {
    for (std::int64_t i = 0; i < kDoubles; ++i) {
      std::memcpy(copies + i * kMembers, structures + (i < count ? i : 0),
                  sizeof(Struct));
    }
    doubles = copies;
  }
  if constexpr (kMembers == 2) {
    hn::LoadInterleaved2(d, doubles, members...);
  } else if constexpr (kMembers == 3) {
    hn::LoadInterleaved3(d, doubles, members...);
  } else {
    hn::LoadInterleaved4(d, doubles, members...);
  }
}

/// Stores the first `count` of as many structures as a vector holds.
template <class Struct, class... Vectors>
HWY_INLINE void StoreMembers(Struct* structures, std::int64_t count,
                             const Vectors&... members) {
  constexpr std::int64_t kMembers = sizeof...(members);
  static_assert(sizeof(Struct) == kMembers * sizeof(double));
  const Doubles d;
  HWY_ALIGN double copies[kMembers * kDoubles];
  auto* whole = reinterpret_cast<double*>(structures);
  double* doubles = count < kDoubles ? copies : whole;
  if constexpr (kMembers == 3) {
    hn::StoreInterleaved3(members..., d, doubles);
  } else {
    hn::StoreInterleaved4(members..., d, doubles);
  }
  if (count < kDoubles) std::copy_n(copies, count * kMembers, whole);
}

/// The error of a sum, and 0 where that is infinite or NaN, as
/// CompensatedSum::error().
HWY_INLINE DoubleVector ErrorOf(DoubleVector sum, DoubleVector error) {
  const auto is_finite = hn::Eq(hn::Sub(sum, sum), hn::Zero(Doubles()));
  return hn::IfThenElseZero(is_finite, error);
}

/// sum + error, as CompensatedSum::value().
HWY_INLINE DoubleVector ValueOf(DoubleVector sum, DoubleVector error) {
  return hn::Add(sum, ErrorOf(sum, error));
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
    auto first = n;
    auto first_error = n;
    auto second_sum = n;
    auto second_error = n;
    LoadMembers(sums + i, groups, first, first_error, second_sum, second_error);
    auto base = n;
    auto pivot = n;
    LoadMembers(pivots + i, groups, base, pivot);
    const auto second = ValueOf(second_sum, second_error);
    const DoubleDoubles offset = MultiplyDivide(
        {first, ErrorOf(first, first_error)}, hn::Set(d, 1.0), n);
    const DoubleDoubles mean = Add({base, hn::Zero(d)}, offset);
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
    StoreMembers(moments + i, groups, hn::IfThenElse(all_equal, pivot, mean.hi),
                 hn::IfThenZeroElse(all_equal, mean.lo),
                 hn::IfThenZeroElse(no_spread, m2));
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
    DoubleDoubles mean_a = {n, n};
    DoubleDoubles mean_b = {n, n};
    auto m2_a = n;
    auto m2_b = n;
    LoadMembers(moments + i, groups, mean_a.hi, mean_a.lo, m2_a);
    LoadMembers(others + i, groups, mean_b.hi, mean_b.lo, m2_b);
    const DoubleDoubles difference =
        Add(mean_b, {hn::Neg(mean_a.hi), hn::Neg(mean_a.lo)});
    const DoubleDoubles mean = Add(mean_a, MultiplyDivide(difference, nb, n));
    const auto square = hn::Mul(difference.hi, difference.hi);
    StoreMembers(moments + i, groups, mean.hi, mean.lo,
                 MulAdd(d, square, ratio, hn::Add(m2_a, m2_b)));
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
    auto mean = n;
    auto mean_lo = n;
    auto m2 = n;
    LoadMembers(moments + i, groups, mean, mean_lo, m2);
    const auto is_nan = hn::IsNaN(m2);
    const auto variance = hn::Div(m2, n);
    const auto rstd = hn::Div(hn::Set(d, 1.0),
                              hn::Sqrt(hn::Add(variance, hn::Set(d, epsilon))));
    StoreMembers(statistics + i, groups, hn::IfThenElse(is_nan, nan, mean),
                 hn::IfThenElse(is_nan, nan, mean_lo), rstd, variance);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_MOMENTS_INL_H_
