#ifndef GROUPNORM_TENSOR_FLOAT16_H_
#define GROUPNORM_TENSOR_FLOAT16_H_

#include <cstdint>

namespace groupnorm {

/// One IEEE 754 binary16 value, as its bits.
struct Float16 {
  std::uint16_t bits = 0;
};

/// One bfloat16 value, the upper half of a binary32, as its bits.
struct Bfloat16 {
  std::uint16_t bits = 0;
};

/// Exact. A NaN stays a NaN and keeps its sign and the top of its payload.
float ToFloat(Float16 value);
float ToFloat(Bfloat16 value);

/// Rounds once, to nearest, ties to even; overflow gives infinity, subnormals
/// are kept. A NaN stays a NaN (made quiet, sign and upper payload kept).
Float16 ToFloat16(float value);
Float16 ToFloat16(double value);
Bfloat16 ToBfloat16(float value);
Bfloat16 ToBfloat16(double value);

}  // namespace groupnorm

#endif  // GROUPNORM_TENSOR_FLOAT16_H_
