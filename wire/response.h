#ifndef GROUPNORM_WIRE_RESPONSE_H_
#define GROUPNORM_WIRE_RESPONSE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>

#include "groupnorm/tensor_view.h"
#include "tensor/buffer_pool.h"

namespace groupnorm {

/// The tensors of a ForwardResponse. `mean` and `rstd` are FLOAT64 and copied
/// into the message; `output` is sent from its buffer.
struct ForwardResponseTensors {
  TensorView mean;
  TensorView rstd;
  MutableTensorView output;  ///< data is unused: see EncodeForwardResponse.
};

/// The tensors of a BackwardResponse; absent ones were not asked for.
struct BackwardResponseTensors {
  std::optional<TensorView> grad_weight;
  std::optional<TensorView> grad_bias;
  std::optional<MutableTensorView> grad_input;  ///< data is unused.
};

/// Bytes of the encoded message, from dtypes and shapes alone. Saturates at
/// INT64_MAX instead of overflowing.
std::int64_t EncodedBytes(const ForwardResponseTensors& response);
std::int64_t EncodedBytes(const BackwardResponseTensors& response);

/// Encodes a response as a header slice and a slice that takes over the buffer
/// of the large tensor, which goes back to its pool once gRPC has sent it.
/// Every sub-message occurs once. Precondition: the buffer holds exactly the
/// bytes of output, or of grad_input (is empty where that is absent).
grpc::ByteBuffer EncodeForwardResponse(const ForwardResponseTensors& response,
                                       Buffer output);
grpc::ByteBuffer EncodeBackwardResponse(const BackwardResponseTensors& response,
                                        Buffer grad_input);

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_RESPONSE_H_
