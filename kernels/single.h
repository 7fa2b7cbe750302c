#ifndef GROUPNORM_KERNELS_SINGLE_H_
#define GROUPNORM_KERNELS_SINGLE_H_

#include <cmath>
#include <type_traits>

#include "tensor/float16.h"

/// Element arithmetic in float32 ("single"), and where it is safe.
namespace groupnorm {

/// Largest magnitude of a factor in float32 arithmetic; the least is its
/// inverse. Between them no product of two leaves the normal numbers.
inline constexpr double kMaxSingleFactor = 0x1p100;

/// False for NaN.
inline bool IsSingleFactor(double factor) {
  const double magnitude = std::fabs(factor);
  return magnitude >= 1 / kMaxSingleFactor && magnitude <= kMaxSingleFactor;
}

inline bool IsSingleFactorOrZero(double factor) {
  return factor == 0 || IsSingleFactor(factor);
}

/// Largest magnitude of a weight in Forward's float32 arithmetic: a value lies
/// within sqrt(count) standard deviations of its group's mean, so no output
/// then overflows.
inline constexpr double kMaxSingleWeight = 0x1p80;

/// Largest ratio of the square of the mean to the variance where x scale +
/// shift keeps its bound, with coefficients of twice float32's precision.
inline constexpr double kMaxAffineRatio = 0x1p36;

/// False for NaN.
inline bool IsSingleMean(double mean) {
  return std::fabs(mean) <= kMaxSingleFactor;
}

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_SINGLE_H_
