#ifndef GROUPNORM_TENSOR_VIEW_H_
#define GROUPNORM_TENSOR_VIEW_H_

#include <cstddef>

#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"

namespace groupnorm {

/// A tensor in memory that somebody else owns: row-major, dense, in the byte
/// order of the machine (which must be little-endian). `data` needs no
/// alignment, and may be null where the shape has no elements.
struct TensorView {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  const void* data = nullptr;

  std::size_t size_bytes() const {
    return static_cast<std::size_t>(shape.num_elements()) * ElementSize(dtype);
  }
};

/// The same, for writing.
struct MutableTensorView {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  void* data = nullptr;

  std::size_t size_bytes() const {
    return static_cast<std::size_t>(shape.num_elements()) * ElementSize(dtype);
  }

  operator TensorView() const {   // NOLINT(google-explicit-constructor): a view
    return {dtype, shape, data};  // for reading is the same view, only weaker.
  }
};

}  // namespace groupnorm

#endif  // GROUPNORM_TENSOR_VIEW_H_
