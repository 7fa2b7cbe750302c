#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/bounds.h"
#include "kernels/reference/reference.h"
#include "kernels/reference/statistics.h"

namespace groupnorm::reference {

namespace {

constexpr long double kInfinity = std::numeric_limits<long double>::infinity();

// Where something is not finite, no distance tells right from wrong.
bool IsRightNotFinite(DataType dtype, long double value, long double bound,
                      long double actual) {
  if (!std::isfinite(value)) {
    if (std::isinf(bound)) return !std::isfinite(actual);
    return std::isnan(value) ? std::isnan(actual) : actual == value;
  }
  if (std::isnan(actual)) return false;
  // An overflow is right where some number within the bound rounds to it.
  const long double farthest = actual > 0 ? value + bound : value - bound;
  return RoundToDataType(dtype, farthest) == actual;
}

bool IsRightFinite(DataType dtype, long double value, long double bound,
                   long double actual) {
  if (ElementSize(dtype) > 2) return std::fabs(actual - value) <= bound;
  return RoundToDataType(dtype, value - bound) <= actual &&
         actual <= RoundToDataType(dtype, value + bound);
}

// The error in units of the bound, for the wider types.
long double BoundRatio(long double error, long double bound) {
  if (error == 0) return 0;
  return bound == 0 ? kInfinity : error / bound;
}

}  // namespace

Comparison Compare(const Expected& expected, const TensorView& actual) {
  Comparison comparison;
  const DataType dtype = expected.dtype;
  const std::vector<double> actual_values = ToDoubles(actual);
  for (std::size_t i = 0; i < expected.value.size(); ++i) {
    const long double value = expected.value[i];
    const long double bound = expected.bound[i];
    const long double got = actual_values[i];
    bool right = false;
    long double error = 0;
    long double ulp_error = 0;
    long double ratio = 0;
    if (std::isfinite(value) && std::isfinite(got)) {
      right = IsRightFinite(dtype, value, bound, got);
      error = std::fabs(got - value);
      ulp_error = error / UnitInLastPlace(dtype, expected.magnitude.empty()
                                                     ? value
                                                     : expected.magnitude[i]);
      ratio = ElementSize(dtype) > 2 ? BoundRatio(error, bound)
              : right                ? 0
                                     : kInfinity;
    } else {
      right = IsRightNotFinite(dtype, value, bound, got);
      if (!right) error = ulp_error = ratio = kInfinity;
    }
    comparison.max_absolute_error =
        std::max(comparison.max_absolute_error, error);
    comparison.max_ulp_error = std::max(comparison.max_ulp_error, ulp_error);
    comparison.max_bound_ratio = std::max(comparison.max_bound_ratio, ratio);
    if (right) continue;
    if (comparison.num_wrong == 0) comparison.first_wrong = i;
    ++comparison.num_wrong;
  }
  return comparison;
}

}  // namespace groupnorm::reference
