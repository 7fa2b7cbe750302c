#include "tests/fuzz/operand_values.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "tensor/element.h"

namespace groupnorm::fuzz {

namespace {

// The reference takes memory in proportion to the channels, even where there
// are no values.
constexpr std::int64_t kMaxReferenceExtent = 4096;

// Products of four such values, and the squares of one, stay within doubles.
bool IsModerate(double value) {
  const double magnitude = std::fabs(value);
  return value == 0 || (magnitude >= 1e-30 && magnitude <= 1e30);
}

bool AreModerate(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), IsModerate);
}

bool AreModerate(const std::optional<OwnedTensor>& tensor) {
  return !tensor.has_value() || AreModerate(tensor->values());
}

std::optional<OwnedTensor> Owned(const MessageSlices& message,
                                 const std::optional<TensorPayload>& payload) {
  if (!payload.has_value()) return std::nullopt;
  return OwnedTensor(message, *payload);
}

std::optional<TensorView> ViewOf(const std::optional<OwnedTensor>& tensor) {
  if (!tensor.has_value()) return std::nullopt;
  return tensor->view();
}

}  // namespace

OwnedTensor::OwnedTensor(const MessageSlices& message,
                         const TensorPayload& payload)
    : dtype_(payload.dtype), shape_(payload.shape), bytes_(payload.data.size) {
  message.Copy(payload.data, bytes_.data());
}

std::vector<double> OwnedTensor::values() const {
  std::vector<double> values(bytes_.size() / ElementSize(dtype_));
  ElementsToDoubles(dtype_, bytes_.data(), values);
  return values;
}

Operands::Operands(const ForwardRequest& request, const MessageSlices& message)
    : geometry_(request.geometry),
      epsilon_(request.epsilon),
      input_(message, request.input),
      weight_(Owned(message, request.weight)),
      bias_(Owned(message, request.bias)) {
  if (request.statistics.has_value()) {
    mean_.emplace(message, request.statistics->mean);
    rstd_.emplace(message, request.statistics->rstd);
  }
}

Operands::Operands(const BackwardRequest& request, const MessageSlices& message)
    : geometry_(request.geometry),
      epsilon_(request.epsilon),
      frozen_statistics_(request.frozen_statistics),
      per_sample_gradients_(request.per_sample_gradients),
      input_(message, request.input),
      grad_output_(OwnedTensor(message, request.grad_output)),
      weight_(Owned(message, request.weight)) {
  if (request.statistics.has_value()) {
    mean_.emplace(message, request.statistics->mean);
    rstd_.emplace(message, request.statistics->rstd);
  }
}

bool Operands::HaveBounds() const {
  return geometry_.channels <= kMaxReferenceExtent &&
         geometry_.batch <= kMaxReferenceExtent && IsModerate(epsilon_) &&
         (input_.view().dtype != DataType::kFloat64 ||
          (AreModerate(input_.values()) && AreModerate(grad_output_))) &&
         AreModerate(weight_) && AreModerate(bias_) && AreModerate(mean_) &&
         AreModerate(rstd_);
}

bool Operands::HaveGradWeightBound() const {
  if (mean_.has_value() || input_.view().dtype == DataType::kFloat64) {
    return true;
  }
  double least = HUGE_VAL;
  double most = 0;
  for (const double value : input_.values()) {
    if (value == 0) continue;
    least = std::min(least, std::fabs(value));
    most = std::max(most, std::fabs(value));
  }
  return most <= least * 0x1p20;
}

template <typename Inputs>
Inputs Operands::Common() const {
  Inputs inputs;
  inputs.geometry = geometry_;
  inputs.epsilon = epsilon_;
  inputs.input = input_.view();
  inputs.weight = ViewOf(weight_);
  inputs.mean = ViewOf(mean_);
  inputs.rstd = ViewOf(rstd_);
  return inputs;
}

reference::ForwardInputs Operands::Forward() const {
  auto inputs = Common<reference::ForwardInputs>();
  inputs.bias = ViewOf(bias_);
  return inputs;
}

reference::BackwardInputs Operands::Backward() const {
  auto inputs = Common<reference::BackwardInputs>();
  inputs.grad_output = grad_output_->view();
  inputs.frozen_statistics = frozen_statistics_;
  inputs.per_sample_gradients = per_sample_gradients_;
  return inputs;
}

std::string DescribeWrong(const std::string& name,
                          const reference::Expected& expected,
                          const reference::Comparison& comparison,
                          const TensorView& actual) {
  const std::size_t index = comparison.first_wrong;
  std::vector<double> values(expected.value.size());
  ElementsToDoubles(actual.dtype, actual.data, values);
  return absl::StrFormat("%s[%d]: %.17g, expected %.20g within %.3g", name,
                         index, values[index],
                         static_cast<double>(expected.value[index]),
                         static_cast<double>(expected.bound[index]));
}

}  // namespace groupnorm::fuzz
