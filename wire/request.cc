#include "wire/request.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "wire/message_slices.h"
#include "wire/tensor_checks.h"
#include "wire/unchecked_messages.h"

namespace groupnorm {

namespace {

constexpr double kDefaultEpsilon = 1e-5;

// The shortest digits that name the value.
std::string DoubleText(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

absl::Status CheckConfig(const UncheckedConfig& config) {
  if (config.num_groups <= 0) {
    return Rejection("config.num_groups", absl::StrCat(config.num_groups),
                     "1 or more");
  }
  if (const double epsilon = config.epsilon.value_or(kDefaultEpsilon);
      !std::isfinite(epsilon) || epsilon < 0) {
    return Rejection("config.epsilon", DoubleText(epsilon),
                     "a finite number, 0 or more");
  }
  if (config.layout < 0 || config.layout > 2) {
    return Rejection("config.layout", absl::StrCat(config.layout),
                     "CHANNELS_FIRST (1), CHANNELS_LAST (2) or unset (0)");
  }
  return absl::OkStatus();
}

// Whatever both requests have in front of their own fields: config, input, and
// that the groups divide the channels.
template <typename Request>
absl::Status CheckConfigAndInput(
    const UncheckedConfig& config,
    const std::optional<UncheckedTensor>& unchecked_input, Request& request) {
  if (absl::Status status = CheckConfig(config); !status.ok()) return status;
  const Layout layout = config.layout == 0
                            ? Layout::kChannelsFirst
                            : Layout{static_cast<std::uint8_t>(config.layout)};
  absl::StatusOr<TensorPayload> input =
      CheckInput("input", unchecked_input, layout);
  if (!input.ok()) return input.status();
  const std::int64_t channels = ChannelExtent(input->shape, layout);
  if (channels % config.num_groups != 0) {
    return Rejection(
        "config.num_groups", absl::StrCat(config.num_groups),
        absl::StrCat("a divisor of the ", channels, " channels of input"));
  }
  request.geometry = GroupGeometry::Of(input->shape, layout, config.num_groups);
  request.epsilon = config.epsilon.value_or(kDefaultEpsilon);
  request.input = *input;
  return absl::OkStatus();
}

// weight or bias.
absl::Status CheckParameter(const std::string& path,
                            const std::optional<UncheckedTensor>& unchecked,
                            const GroupGeometry& geometry,
                            std::optional<TensorPayload>& checked) {
  if (!unchecked.has_value()) return absl::OkStatus();
  absl::StatusOr<TensorPayload> tensor =
      CheckTensorOfShape(path, unchecked, {geometry.channels});
  if (!tensor.ok()) return tensor.status();
  checked = *tensor;
  return absl::OkStatus();
}

absl::Status CheckStatistics(
    const std::optional<UncheckedStatistics>& unchecked,
    const GroupGeometry& geometry, std::optional<StatisticsPayload>& checked) {
  if (!unchecked.has_value()) return absl::OkStatus();
  const Shape shape = {geometry.batch, geometry.num_groups};
  const absl::StatusOr<TensorPayload> mean =
      CheckTensorOfShape("statistics.mean", unchecked->mean, shape);
  if (!mean.ok()) return mean.status();
  const absl::StatusOr<TensorPayload> rstd =
      CheckTensorOfShape("statistics.rstd", unchecked->rstd, shape);
  if (!rstd.ok()) return rstd.status();
  checked = StatisticsPayload{*mean, *rstd};
  return absl::OkStatus();
}

absl::Status CheckGradients(const UncheckedGradients& gradients,
                            BackwardRequest& request) {
  if (gradients.first_unknown.has_value()) {
    return Rejection("gradients", absl::StrCat(*gradients.first_unknown),
                     "GRADIENT_INPUT (1), GRADIENT_WEIGHT (2) or "
                     "GRADIENT_BIAS (3)");
  }
  const bool all = gradients.count == 0;
  request.want_grad_input = all || gradients.input;
  request.want_grad_weight = all || gradients.weight;
  request.want_grad_bias = all || gradients.bias;
  return absl::OkStatus();
}

}  // namespace

DataType BackwardRequest::parameter_gradient_dtype() const {
  if (per_sample_gradients) return DataType::kFloat64;
  return weight.has_value() ? weight->dtype : input.dtype;
}

absl::StatusOr<ForwardRequest> DecodeForwardRequest(
    const MessageSlices& message) {
  UncheckedForwardRequest unchecked;
  if (const auto failure = ReadMessage(message, unchecked)) {
    return NotAMessage("request", "ForwardRequest", *failure);
  }
  ForwardRequest request;
  absl::Status status =
      CheckConfigAndInput(unchecked.config, unchecked.input, request);
  if (!status.ok()) return status;
  const GroupGeometry& geometry = request.geometry;
  status = CheckParameter("weight", unchecked.weight, geometry, request.weight);
  if (!status.ok()) return status;
  status = CheckParameter("bias", unchecked.bias, geometry, request.bias);
  if (!status.ok()) return status;
  status = CheckStatistics(unchecked.statistics, geometry, request.statistics);
  if (!status.ok()) return status;
  return request;
}

absl::StatusOr<BackwardRequest> DecodeBackwardRequest(
    const MessageSlices& message) {
  UncheckedBackwardRequest unchecked;
  if (const auto failure = ReadMessage(message, unchecked)) {
    return NotAMessage("request", "BackwardRequest", *failure);
  }
  BackwardRequest request;
  absl::Status status =
      CheckConfigAndInput(unchecked.config, unchecked.input, request);
  if (!status.ok()) return status;
  const absl::StatusOr<TensorPayload> grad_output =
      CheckTensorLikeInput("grad_output", unchecked.grad_output, request.input);
  if (!grad_output.ok()) return grad_output.status();
  request.grad_output = *grad_output;
  const GroupGeometry& geometry = request.geometry;
  status = CheckParameter("weight", unchecked.weight, geometry, request.weight);
  if (!status.ok()) return status;
  status = CheckStatistics(unchecked.statistics, geometry, request.statistics);
  if (!status.ok()) return status;
  status = CheckGradients(unchecked.gradients, request);
  if (!status.ok()) return status;
  if (unchecked.frozen_statistics && !unchecked.statistics.has_value()) {
    return Rejection("frozen_statistics", "true",
                     "false where statistics is missing");
  }
  request.frozen_statistics = unchecked.frozen_statistics;
  request.per_sample_gradients = unchecked.per_sample_gradients;
  return request;
}

}  // namespace groupnorm
