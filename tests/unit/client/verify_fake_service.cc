#include "tests/unit/client/verify_fake_service.h"

#include <utility>
#include <vector>

#include "tensor/element.h"
#include "tensor/group_geometry.h"

namespace groupnorm::verify {

namespace {

void Write(Output output, const reference::Expected& expected, void* data,
           const Spoiler& spoil) {
  if (data == nullptr) return;
  const std::vector<double> values(expected.value.begin(),
                                   expected.value.end());
  DoublesToElements(expected.dtype, values, data);
  if (spoil) {
    spoil(output, expected.dtype, static_cast<std::byte*>(data),
          values.size() * ElementSize(expected.dtype));
  }
}

absl::Status Forward(const ForwardArguments& arguments,
                     const ForwardResults& results, const Spoiler& spoil) {
  reference::ForwardInputs inputs;
  inputs.geometry = GroupGeometry::Of(arguments.input.shape, arguments.layout,
                                      arguments.num_groups);
  inputs.epsilon = arguments.epsilon.value_or(1e-5);
  inputs.input = arguments.input;
  inputs.weight = arguments.weight;
  inputs.bias = arguments.bias;
  if (arguments.statistics.has_value()) {
    inputs.mean = arguments.statistics->mean;
    inputs.rstd = arguments.statistics->rstd;
  }
  const reference::ForwardExpected expected = reference::Forward(inputs);
  Write(Output::kOutput, expected.output, results.output, spoil);
  Write(Output::kMean, expected.mean, results.mean, spoil);
  Write(Output::kRstd, expected.rstd, results.rstd, spoil);
  return absl::OkStatus();
}

absl::Status Backward(const BackwardArguments& arguments,
                      const BackwardResults& results, const Spoiler& spoil) {
  reference::BackwardInputs inputs;
  inputs.geometry = GroupGeometry::Of(arguments.input.shape, arguments.layout,
                                      arguments.num_groups);
  inputs.epsilon = arguments.epsilon.value_or(1e-5);
  inputs.input = arguments.input;
  inputs.grad_output = arguments.grad_output;
  inputs.weight = arguments.weight;
  if (arguments.statistics.has_value()) {
    inputs.mean = arguments.statistics->mean;
    inputs.rstd = arguments.statistics->rstd;
  }
  inputs.frozen_statistics = arguments.frozen_statistics;
  inputs.per_sample_gradients = arguments.per_sample_gradients;
  const reference::BackwardExpected expected = reference::Backward(inputs);
  Write(Output::kGradInput, expected.grad_input, results.grad_input, spoil);
  Write(Output::kGradWeight, expected.grad_weight, results.grad_weight, spoil);
  Write(Output::kGradBias, expected.grad_bias, results.grad_bias, spoil);
  return absl::OkStatus();
}

}  // namespace

Service FakeService(const Spoiler& spoil) {
  return {
      [spoil](const ForwardArguments& arguments,
              const ForwardResults& results) {
        return Forward(arguments, results, spoil);
      },
      [spoil](const BackwardArguments& arguments,
              const BackwardResults& results) {
        return Backward(arguments, results, spoil);
      },
  };
}

}  // namespace groupnorm::verify
