#include "kernels/reference/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace groupnorm::reference {

namespace {

// A binary floating-point format: digits of the significand, leading one
// included, and the exponents of its smallest normal and its largest number.
struct Format {
  int precision;
  int min_exponent;
  int max_exponent;
};

Format FormatOf(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return {.precision = 24, .min_exponent = -126, .max_exponent = 127};
    case DataType::kFloat64:
      return {.precision = 53, .min_exponent = -1022, .max_exponent = 1023};
    case DataType::kFloat16:
      return {.precision = 11, .min_exponent = -14, .max_exponent = 15};
    case DataType::kBfloat16:
      break;
  }
  return {.precision = 8, .min_exponent = -126, .max_exponent = 127};
}

}  // namespace

long double UnitInLastPlace(DataType dtype, long double value) {
  const Format format = FormatOf(dtype);
  const int exponent = value == 0
                           ? format.min_exponent
                           : std::max(std::ilogb(value), format.min_exponent);
  return std::scalbn(1.0L, exponent - (format.precision - 1));
}

long double RoundToDataType(DataType dtype, long double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  // Division and multiplication by a power of two are exact, so the one
  // rounding is that of nearbyint: to nearest even, the mode of every thread
  // that did not change it.
  const long double unit = UnitInLastPlace(dtype, value);
  const long double rounded = std::nearbyint(value / unit) * unit;
  const long double overflow =
      std::scalbn(1.0L, FormatOf(dtype).max_exponent + 1);
  if (std::fabs(rounded) < overflow) return rounded;
  return std::copysign(std::numeric_limits<long double>::infinity(), value);
}

long double Float64Tolerance(DataType input, bool statistics_given) {
  const bool from_narrow_input =
      input != DataType::kFloat64 && !statistics_given;
  return from_narrow_input ? 1.1e-11L : 1e-12L;
}

long double ErrorBound(DataType dtype, long double magnitude,
                       long double float64_tolerance) {
  if (dtype == DataType::kFloat64) {
    return std::max(float64_tolerance * magnitude,
                    UnitInLastPlace(DataType::kFloat64, 0));
  }
  return 3 * UnitInLastPlace(DataType::kFloat32, magnitude);
}

}  // namespace groupnorm::reference
