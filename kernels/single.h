#ifndef GROUPNORM_KERNELS_SINGLE_H_
#define GROUPNORM_KERNELS_SINGLE_H_

#include <cmath>
#include <type_traits>

#include "tensor/float16.h"

/// Element arithmetic in float32 ("single"), and where it is safe.
namespace groupnorm {

/// Exact.
inline float ToSingle(float value) { return value; }
inline float ToSingle(Float16 value) { return ToFloat(value); }
inline float ToSingle(Bfloat16 value) { return ToFloat(value); }

/// Rounded to nearest even.
template <typename T>
T FromSingle(float value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return ToFloat16(value);
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return ToBfloat16(value);
  } else {
    return value;
  }
}

/// A number as the nearest float32 and the rest.
struct SplitSingle {
  float hi;
  float lo;
};

/// What overflows or is NaN has no rest.
inline SplitSingle Split(double value) {
  const auto hi = static_cast<float>(value);
  return {hi, std::isfinite(hi) ? static_cast<float>(value - hi) : 0.0F};
}

/// a - b exactly (Knuth's TwoSum), unless it overflows: then lo is NaN.
inline SplitSingle Subtract(float a, float b) {
  const float hi = a - b;
  const float part = hi - a;
  return {hi, (a - (hi - part)) - (b + part)};
}

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

/// False for NaN.
inline bool IsSingleMean(double mean) {
  return std::fabs(mean) <= kMaxSingleFactor;
}

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_SINGLE_H_
