#include "tensor/element.h"

#include <cstring>

namespace groupnorm {

void ElementsToDoubles(DataType dtype, const void* elements,
                       std::span<double> values) {
  VisitElementType(dtype, [&]<typename T>() {
    const auto* bytes = static_cast<const std::byte*>(elements);
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element;
      std::memcpy(&element, bytes + i * sizeof(T), sizeof(T));
      values[i] = ToDouble(element);
    }
  });
}

void DoublesToElements(DataType dtype, std::span<const double> values,
                       void* elements) {
  VisitElementType(dtype, [&]<typename T>() {
    auto* bytes = static_cast<std::byte*>(elements);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const T element = FromDouble<T>(values[i]);
      std::memcpy(bytes + i * sizeof(T), &element, sizeof(T));
    }
  });
}

}  // namespace groupnorm
