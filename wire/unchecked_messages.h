#ifndef GROUPNORM_WIRE_UNCHECKED_MESSAGES_H_
#define GROUPNORM_WIRE_UNCHECKED_MESSAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "groupnorm/shape.h"
#include "wire/tensor_payload.h"

/// The messages as the wire says them, before any check: what protobuf's own
/// parser would hold, in constant memory. A sub-message is there when its field
/// was on the wire, even empty; enums are the numbers they were.
namespace groupnorm {

class MessageSlices;  // wire/message_slices.h

struct UncheckedTensor {
  std::int32_t dtype = 0;
  std::uint64_t rank = 0;  ///< Extents on the wire, of which 16 are kept.
  std::array<std::int64_t, Shape::kMaxRank> first_extents{};
  PayloadRange data;

  /// Every extent. Precondition: rank <= Shape::kMaxRank.
  std::span<const std::int64_t> extents() const {
    return {first_extents.data(), static_cast<std::size_t>(rank)};
  }
};

struct UncheckedConfig {
  std::int64_t num_groups = 0;
  std::optional<double> epsilon;
  std::int32_t layout = 0;
};

struct UncheckedStatistics {
  std::optional<UncheckedTensor> mean;
  std::optional<UncheckedTensor> rstd;
};

/// The list of gradients, of any length, as far as it matters.
struct UncheckedGradients {
  std::uint64_t count = 0;
  bool input = false;
  bool weight = false;
  bool bias = false;
  std::optional<std::int32_t> first_unknown;  ///< In the order of the wire.
};

struct UncheckedForwardRequest {
  UncheckedConfig config;  ///< Absent counts as empty.
  std::optional<UncheckedTensor> weight;
  std::optional<UncheckedTensor> bias;
  std::optional<UncheckedStatistics> statistics;
  std::optional<UncheckedTensor> input;
};

struct UncheckedBackwardRequest {
  UncheckedConfig config;  ///< Absent counts as empty.
  std::optional<UncheckedTensor> weight;
  std::optional<UncheckedStatistics> statistics;
  UncheckedGradients gradients;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  std::optional<UncheckedTensor> grad_output;
  std::optional<UncheckedTensor> input;
};

struct UncheckedForwardResponse {
  std::optional<UncheckedStatistics> statistics;
  std::optional<UncheckedTensor> output;
};

struct UncheckedBackwardResponse {
  std::optional<UncheckedTensor> grad_weight;
  std::optional<UncheckedTensor> grad_bias;
  std::optional<UncheckedTensor> grad_input;
};

/// Reads a message into `to`, which must be fresh. Accepts what protobuf 3.21's
/// C++ parser accepts, with its rules for fields that occur again: sub-messages
/// merge, lists grow, of everything else the last one stays. Returns the offset
/// of the first byte that makes it no such message, or nothing.
std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedForwardRequest& to);
std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedBackwardRequest& to);
std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedForwardResponse& to);
std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedBackwardResponse& to);

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_UNCHECKED_MESSAGES_H_
