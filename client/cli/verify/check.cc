#include "client/cli/verify/check.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "tensor/element.h"
#include "tensor/group_geometry.h"

namespace groupnorm::verify {

namespace {

std::optional<TensorView> ViewOf(const std::optional<TensorData>& tensor) {
  if (!tensor.has_value()) return std::nullopt;
  return tensor->view();
}

std::optional<StatisticsView> ViewOf(
    const std::optional<StatisticsData>& statistics) {
  if (!statistics.has_value()) return std::nullopt;
  return StatisticsView{statistics->mean.view(), statistics->rstd.view()};
}

// The memory that the service writes one output to.
class ResultBuffer {
 public:
  // Every byte 0xff is a NaN in every element type, so that an element that
  // nobody writes is found.
  ResultBuffer(Output output, DataType dtype, std::int64_t num_values)
      : output_(output),
        dtype_(dtype),
        num_values_(num_values),
        bytes_(static_cast<std::size_t>(num_values) * ElementSize(dtype),
               std::byte{0xff}) {}

  std::byte* data() { return bytes_.data(); }

  // Precondition: a buffer of FLOAT64.
  double* doubles() { return reinterpret_cast<double*>(bytes_.data()); }

  OutputCheck Compare(const reference::Expected& expected) const {
    OutputCheck check = {
        output_, dtype_, num_values_,
        reference::Compare(expected, {dtype_, {num_values_}, bytes_.data()}),
        std::nullopt};
    if (!check.comparison.ok()) {
      const std::size_t index = check.comparison.first_wrong;
      double got = 0;
      ElementsToDoubles(dtype_, bytes_.data() + index * ElementSize(dtype_),
                        std::span(&got, 1));
      check.first_wrong = WrongElement{index, expected.value[index],
                                       expected.bound[index], got};
    }
    return check;
  }

 private:
  Output output_;
  DataType dtype_;
  std::int64_t num_values_;
  std::vector<std::byte> bytes_;
};

// How many values the outputs have beside those of the input's shape. The
// user's own tensors may break the contract, which is for the service to say:
// then these are some numbers that need no more memory than the input.
struct Counts {
  std::int64_t statistics = 0;
  std::int64_t channels = 0;
  std::int64_t batch = 0;
};

Counts CountsOf(const Problem& problem) {
  const Shape& shape = problem.input.shape;
  if (shape.rank() < 2) return {};
  const std::int64_t batch = shape.extent(0);
  const std::int64_t channels = ChannelExtent(shape, problem.layout);
  return {batch * std::clamp(problem.num_groups, std::int64_t{0}, channels),
          channels, batch};
}

GroupGeometry GeometryOf(const Problem& problem) {
  return GroupGeometry::Of(problem.input.shape, problem.layout,
                           problem.num_groups);
}

// What a service answered keeps the rules of the contract, so that the
// reference may be asked.
reference::ForwardExpected ExpectedForward(const Problem& problem) {
  reference::ForwardInputs inputs;
  inputs.geometry = GeometryOf(problem);
  inputs.epsilon = problem.epsilon;
  inputs.input = problem.input.view();
  inputs.weight = ViewOf(problem.weight);
  inputs.bias = ViewOf(problem.bias);
  if (problem.statistics.has_value()) {
    inputs.mean = problem.statistics->mean.view();
    inputs.rstd = problem.statistics->rstd.view();
  }
  return reference::Forward(inputs);
}

reference::BackwardExpected ExpectedBackward(const Problem& problem) {
  reference::BackwardInputs inputs;
  inputs.geometry = GeometryOf(problem);
  inputs.epsilon = problem.epsilon;
  inputs.input = problem.input.view();
  inputs.grad_output = problem.grad_output.view();
  inputs.weight = ViewOf(problem.weight);
  if (problem.statistics.has_value()) {
    inputs.mean = problem.statistics->mean.view();
    inputs.rstd = problem.statistics->rstd.view();
  }
  inputs.frozen_statistics = problem.frozen_statistics;
  inputs.per_sample_gradients = problem.per_sample_gradients;
  return reference::Backward(inputs);
}

absl::Status CheckForward(const Service& service, const Problem& problem,
                          std::vector<OutputCheck>& checks) {
  const Counts counts = CountsOf(problem);
  ResultBuffer output(Output::kOutput, problem.input.dtype,
                      problem.input.shape.num_elements());
  ResultBuffer mean(Output::kMean, DataType::kFloat64, counts.statistics);
  ResultBuffer rstd(Output::kRstd, DataType::kFloat64, counts.statistics);
  ForwardArguments arguments;
  arguments.input = problem.input.view();
  arguments.num_groups = problem.num_groups;
  arguments.epsilon = problem.epsilon;
  arguments.layout = problem.layout;
  arguments.weight = ViewOf(problem.weight);
  arguments.bias = ViewOf(problem.bias);
  arguments.statistics = ViewOf(problem.statistics);
  absl::Status status = service.forward(
      arguments, {output.data(), mean.doubles(), rstd.doubles()});
  if (!status.ok()) return status;

  const reference::ForwardExpected expected = ExpectedForward(problem);
  checks.push_back(output.Compare(expected.output));
  checks.push_back(mean.Compare(expected.mean));
  checks.push_back(rstd.Compare(expected.rstd));
  return absl::OkStatus();
}

absl::Status CheckBackward(const Service& service, const Problem& problem,
                           std::vector<OutputCheck>& checks) {
  const Counts counts = CountsOf(problem);
  const bool per_sample = problem.per_sample_gradients;
  const DataType parameter_dtype = per_sample ? DataType::kFloat64
                                   : problem.weight.has_value()
                                       ? problem.weight->dtype
                                       : problem.input.dtype;
  const std::int64_t num_parameters =
      per_sample ? counts.batch * counts.channels : counts.channels;
  ResultBuffer grad_input(Output::kGradInput, problem.input.dtype,
                          problem.input.shape.num_elements());
  ResultBuffer grad_weight(Output::kGradWeight, parameter_dtype,
                           num_parameters);
  ResultBuffer grad_bias(Output::kGradBias, parameter_dtype, num_parameters);
  BackwardArguments arguments;
  arguments.grad_output = problem.grad_output.view();
  arguments.input = problem.input.view();
  arguments.num_groups = problem.num_groups;
  arguments.epsilon = problem.epsilon;
  arguments.layout = problem.layout;
  arguments.weight = ViewOf(problem.weight);
  arguments.statistics = ViewOf(problem.statistics);
  arguments.frozen_statistics = problem.frozen_statistics;
  arguments.per_sample_gradients = per_sample;
  BackwardResults results;
  if (problem.want_grad_input) results.grad_input = grad_input.data();
  if (problem.want_grad_weight) results.grad_weight = grad_weight.data();
  if (problem.want_grad_bias) results.grad_bias = grad_bias.data();
  absl::Status status = service.backward(arguments, results);
  if (!status.ok()) return status;

  const reference::BackwardExpected expected = ExpectedBackward(problem);
  if (problem.want_grad_input) {
    checks.push_back(grad_input.Compare(expected.grad_input));
  }
  if (problem.want_grad_weight) {
    checks.push_back(grad_weight.Compare(expected.grad_weight));
  }
  if (problem.want_grad_bias) {
    checks.push_back(grad_bias.Compare(expected.grad_bias));
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view OutputName(Output output) {
  switch (output) {
    case Output::kOutput:
      return "output";
    case Output::kMean:
      return "mean";
    case Output::kRstd:
      return "rstd";
    case Output::kGradInput:
      return "grad_input";
    case Output::kGradWeight:
      return "grad_weight";
    case Output::kGradBias:
      break;
  }
  return "grad_bias";
}

absl::StatusOr<std::vector<OutputCheck>> CheckProblem(const Service& service,
                                                      const Problem& problem) {
  std::vector<OutputCheck> checks;
  if (absl::Status status = CheckForward(service, problem, checks);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckBackward(service, problem, checks);
      !status.ok()) {
    return status;
  }
  return checks;
}

}  // namespace groupnorm::verify
