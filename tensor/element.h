#ifndef GROUPNORM_TENSOR_ELEMENT_H_
#define GROUPNORM_TENSOR_ELEMENT_H_

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "groupnorm/dtype.h"
#include "tensor/float16.h"

namespace groupnorm {

/// Calls `visitor.operator()<T>()` with the C++ type of the elements: float,
/// double, Float16 or Bfloat16. Returns what it returns.
template <typename Visitor>
decltype(auto) VisitElementType(DataType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DataType::kFloat32:
      return visitor.template operator()<float>();
    case DataType::kFloat64:
      return visitor.template operator()<double>();
    case DataType::kFloat16:
      return visitor.template operator()<Float16>();
    case DataType::kBfloat16:
      break;
  }
  return visitor.template operator()<Bfloat16>();
}

/// One element as a double: exact for every element type.
inline double ToDouble(float value) { return value; }
inline double ToDouble(double value) { return value; }
inline double ToDouble(Float16 value) { return ToFloat(value); }
inline double ToDouble(Bfloat16 value) { return ToFloat(value); }

/// A double rounded once, to nearest even, to the element type.
template <typename T>
T FromDouble(double value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return ToFloat16(value);
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return ToBfloat16(value);
  } else {
    return static_cast<T>(value);
  }
}

/// Converts `values.size()` elements at `elements`, which needs no alignment,
/// to doubles. Exact.
void ElementsToDoubles(DataType dtype, const void* elements,
                       std::span<double> values);

/// Rounds doubles, each once to nearest even, to the elements at `elements`,
/// which needs no alignment.
void DoublesToElements(DataType dtype, std::span<const double> values,
                       void* elements);

}  // namespace groupnorm

#endif  // GROUPNORM_TENSOR_ELEMENT_H_
