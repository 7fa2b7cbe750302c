#ifndef GROUPNORM_CLIENT_CLI_FILES_OWNED_TENSOR_H_
#define GROUPNORM_CLIENT_CLI_FILES_OWNED_TENSOR_H_

#include <cstddef>
#include <memory>

#include "groupnorm/tensor_view.h"

namespace groupnorm::cli {

/// A tensor with its memory, whose contents are undefined at first. Move-only.
/// The constructor throws std::bad_alloc where there is not enough memory.
class OwnedTensor {
 public:
  OwnedTensor(DataType dtype, const Shape& shape)
      : dtype_(dtype),
        shape_(shape),
        data_(std::make_unique_for_overwrite<std::byte[]>(
            TensorView{dtype, shape, nullptr}.size_bytes())) {}

  DataType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t size_bytes() const { return view().size_bytes(); }
  void* data() { return data_.get(); }
  TensorView view() const { return {dtype_, shape_, data_.get()}; }

 private:
  DataType dtype_;
  Shape shape_;
  std::unique_ptr<std::byte[]> data_;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_OWNED_TENSOR_H_
