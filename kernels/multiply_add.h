#ifndef GROUPNORM_KERNELS_MULTIPLY_ADD_H_
#define GROUPNORM_KERNELS_MULTIPLY_ADD_H_

#include <cmath>

namespace groupnorm {

/// a * b + c, rounded once: the only multiply-add of the kernels, so that every
/// instruction set gives the same bits.
inline float MulAdd(float a, float b, float c) { return std::fma(a, b, c); }
inline double MulAdd(double a, double b, double c) { return std::fma(a, b, c); }

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_MULTIPLY_ADD_H_
