#ifndef GROUPNORM_WIRE_TENSOR_PAYLOAD_H_
#define GROUPNORM_WIRE_TENSOR_PAYLOAD_H_

#include <cstddef>

#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"

namespace groupnorm {

/// A run of bytes within an encoded message.
struct PayloadRange {
  std::size_t offset = 0;
  std::size_t size = 0;

  friend bool operator==(const PayloadRange&, const PayloadRange&) = default;
};

/// A checked tensor whose elements still lie in the message: `data.size` is
/// what dtype and shape ask for.
struct TensorPayload {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  PayloadRange data;
};

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_TENSOR_PAYLOAD_H_
