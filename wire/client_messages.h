#ifndef GROUPNORM_WIRE_CLIENT_MESSAGES_H_
#define GROUPNORM_WIRE_CLIENT_MESSAGES_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "groupnorm/tensor_view.h"
#include "wire/tensor_payload.h"

/// The caller's side of the codec: requests out, responses in. Checks nothing
/// of a request that the server checks.
namespace groupnorm {

class MessageSlices;  // wire/message_slices.h

/// The fields of a ForwardRequest, unchecked.
struct ForwardRequestFields {
  std::int64_t num_groups = 0;
  std::optional<double> epsilon;
  Layout layout = Layout::kChannelsFirst;
  std::optional<TensorView> weight;
  std::optional<TensorView> bias;
  std::optional<TensorView> mean;  ///< With rstd the statistics.
  std::optional<TensorView> rstd;
  TensorView input;
};

/// The fields of a BackwardRequest, unchecked. No wanted gradient means all.
struct BackwardRequestFields {
  std::int64_t num_groups = 0;
  std::optional<double> epsilon;
  Layout layout = Layout::kChannelsFirst;
  std::optional<TensorView> weight;
  std::optional<TensorView> mean;
  std::optional<TensorView> rstd;
  bool want_grad_input = false;
  bool want_grad_weight = false;
  bool want_grad_bias = false;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  TensorView grad_output;
  TensorView input;
};

/// Bytes of the encoded message. Saturates at INT64_MAX instead of overflowing.
std::int64_t EncodedBytes(const ForwardRequestFields& fields);
std::int64_t EncodedBytes(const BackwardRequestFields& fields);

/// Encodes a request, with one copy of its tensors (gRPC may hold on to a
/// message after its call has ended, so it must not point into the caller's
/// memory).
grpc::ByteBuffer EncodeForwardRequest(const ForwardRequestFields& fields);
grpc::ByteBuffer EncodeBackwardRequest(const BackwardRequestFields& fields);

/// A tensor in a response, its elements still in the message.
using ResponseTensor = TensorPayload;

struct ForwardResponseFields {
  ResponseTensor mean, rstd, output;
};

struct BackwardResponseFields {
  std::optional<ResponseTensor> grad_weight, grad_bias, grad_input;
};

/// Decodes a response. Fails with INTERNAL where it is no valid message or a
/// tensor in it is missing or inconsistent: the server is at fault.
absl::StatusOr<ForwardResponseFields> DecodeForwardResponse(
    const MessageSlices& message);
absl::StatusOr<BackwardResponseFields> DecodeBackwardResponse(
    const MessageSlices& message);

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_CLIENT_MESSAGES_H_
