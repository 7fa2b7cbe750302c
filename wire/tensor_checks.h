#ifndef GROUPNORM_WIRE_TENSOR_CHECKS_H_
#define GROUPNORM_WIRE_TENSOR_CHECKS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "groupnorm/shape.h"
#include "wire/tensor_payload.h"
#include "wire/unchecked_messages.h"

/// The rules for one tensor of a message. All fail with INVALID_ARGUMENT and
/// `<path>: <offending value>, expected <what>`.
namespace groupnorm {

/// INVALID_ARGUMENT with that text.
absl::Status Rejection(const std::string& path, const std::string& value,
                       const std::string& expected);

/// The text of a message that is none: `request: not a valid ForwardRequest at
/// byte 17`.
absl::Status NotAMessage(const std::string& what, const std::string& type,
                         std::size_t failure);

/// A tensor of any shape.
absl::StatusOr<TensorPayload> CheckTensor(
    const std::string& path, const std::optional<UncheckedTensor>& tensor);

/// A tensor of that shape and any element type.
absl::StatusOr<TensorPayload> CheckTensorOfShape(
    const std::string& path, const std::optional<UncheckedTensor>& tensor,
    const Shape& shape);

/// The tensor to normalize: (N, C, *) or (N, *, C), with a channel or more.
absl::StatusOr<TensorPayload> CheckInput(
    const std::string& path, const std::optional<UncheckedTensor>& tensor,
    Layout layout);

/// A tensor with the element type and the shape of `input`.
absl::StatusOr<TensorPayload> CheckTensorLikeInput(
    const std::string& path, const std::optional<UncheckedTensor>& tensor,
    const TensorPayload& input);

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_TENSOR_CHECKS_H_
