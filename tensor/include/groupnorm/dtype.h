#ifndef GROUPNORM_DTYPE_H_
#define GROUPNORM_DTYPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace groupnorm {

/// Element type of a tensor. The values are those of `groupnorm.v1.DataType`.
enum class DataType : std::uint8_t {
  kFloat32 = 1,
  kFloat64 = 2,
  kFloat16 = 3,   ///< IEEE 754 binary16.
  kBfloat16 = 4,  ///< The upper half of an IEEE 754 binary32.
};

/// Every element type, in the order of their values.
inline constexpr std::array<DataType, 4> kDataTypes = {
    DataType::kFloat32, DataType::kFloat64, DataType::kFloat16,
    DataType::kBfloat16};

/// Bytes of one element: 2, 4 or 8.
constexpr std::size_t ElementSize(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return 4;
    case DataType::kFloat64:
      return 8;
    case DataType::kFloat16:
    case DataType::kBfloat16:
      break;
  }
  return 2;
}

/// The name in the contract without its prefix, as in "FLOAT32".
constexpr std::string_view DataTypeName(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return "FLOAT32";
    case DataType::kFloat64:
      return "FLOAT64";
    case DataType::kFloat16:
      return "FLOAT16";
    case DataType::kBfloat16:
      break;
  }
  return "BFLOAT16";
}

/// The element type with this value in the contract, if there is one.
constexpr std::optional<DataType> DataTypeFromValue(std::int32_t value) {
  for (const DataType dtype : kDataTypes) {
    if (value == static_cast<std::int32_t>(dtype)) return dtype;
  }
  return std::nullopt;
}

}  // namespace groupnorm

#endif  // GROUPNORM_DTYPE_H_
