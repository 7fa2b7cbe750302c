#ifndef GROUPNORM_WIRE_REQUEST_H_
#define GROUPNORM_WIRE_REQUEST_H_

#include <optional>

#include "absl/status/statusor.h"
#include "groupnorm/dtype.h"
#include "tensor/group_geometry.h"
#include "wire/tensor_payload.h"

namespace groupnorm {

class MessageSlices;  // wire/message_slices.h

/// Checked statistics: both of shape [batch, num_groups].
struct StatisticsPayload {
  TensorPayload mean;
  TensorPayload rstd;
};

/// A ForwardRequest that keeps every rule of the contract.
struct ForwardRequest {
  GroupGeometry geometry;
  double epsilon = 1e-5;
  std::optional<TensorPayload> weight;
  std::optional<TensorPayload> bias;
  std::optional<StatisticsPayload> statistics;
  TensorPayload input;
};

/// A BackwardRequest that keeps every rule of the contract.
struct BackwardRequest {
  GroupGeometry geometry;
  double epsilon = 1e-5;
  std::optional<TensorPayload> weight;
  std::optional<StatisticsPayload> statistics;
  bool want_grad_input = false;
  bool want_grad_weight = false;
  bool want_grad_bias = false;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  TensorPayload grad_output;
  TensorPayload input;

  /// Element type of grad_weight and grad_bias in the response.
  DataType parameter_gradient_dtype() const;
};

/// Checks an encoded message against the contract, without a copy of its
/// tensors. Fails with INVALID_ARGUMENT and the text of the first failure in
/// the order of ARCHITECTURE.md: `<field path>: <offending value>, expected
/// <what>`; at most 1,024 bytes of printable ASCII. Takes constant memory,
/// whatever the message.
absl::StatusOr<ForwardRequest> DecodeForwardRequest(
    const MessageSlices& message);
absl::StatusOr<BackwardRequest> DecodeBackwardRequest(
    const MessageSlices& message);

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_REQUEST_H_
