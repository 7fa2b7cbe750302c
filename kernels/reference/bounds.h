#ifndef GROUPNORM_KERNELS_REFERENCE_BOUNDS_H_
#define GROUPNORM_KERNELS_REFERENCE_BOUNDS_H_

#include "groupnorm/dtype.h"

/// The errors that docs/math.md allows, and the roundings they are made of.
namespace groupnorm::reference {

/// The unit in the last place of an element type at a finite magnitude: the
/// distance of its numbers there, were its exponents unlimited above. Not below
/// the smallest subnormal number. Of 0 it is that number.
long double UnitInLastPlace(DataType dtype, long double value);

/// Rounds once, to nearest even, to a number of the element type; to infinity
/// beyond its largest. Keeps infinities and NaN.
long double RoundToDataType(DataType dtype, long double value);

/// What FLOAT64 results may lose, relative to their magnitude: 1e-12, and
/// 1.1e-11 where the statistics are those of a narrower input.
long double Float64Tolerance(DataType input, bool statistics_given);

/// The error allowed to an output of `dtype`, where `magnitude` is the larger
/// of the result's and of its typical one. FLOAT32: 3 units in the last place;
/// the 16-bit types: the same, before their one rounding. FLOAT64: the
/// tolerance times the magnitude, but not below its smallest number, since
/// nothing nearer may exist.
long double ErrorBound(DataType dtype, long double magnitude,
                       long double float64_tolerance);

}  // namespace groupnorm::reference

#endif  // GROUPNORM_KERNELS_REFERENCE_BOUNDS_H_
