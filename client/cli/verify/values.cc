#include "client/cli/verify/values.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tensor/element.h"
#include "tensor/group_geometry.h"

namespace groupnorm::verify {

namespace {

TensorData ToTensor(DataType dtype, const Shape& shape,
                    std::span<const double> values) {
  TensorData tensor = {dtype, shape, {}};
  tensor.bytes.resize(values.size() * ElementSize(dtype));
  DoublesToElements(dtype, values, tensor.bytes.data());
  return tensor;
}

TensorData RandomTensor(DataType dtype, const Shape& shape, double mean,
                        double deviation, RandomValues& random) {
  std::vector<double> values(static_cast<std::size_t>(shape.num_elements()));
  for (double& value : values) value = mean + deviation * random.Next();
  return ToTensor(dtype, shape, values);
}

StatisticsData MakeStatistics(const Cell& cell, std::int64_t batch,
                              RandomValues& random) {
  const ValueRange& range = cell.range;
  const Shape shape = {batch, cell.num_groups};
  const double rstd =
      1 / std::sqrt(range.deviation * range.deviation + range.epsilon);
  // |z| <= 3: the mean is off by up to half a deviation, rstd by up to a half.
  return {RandomTensor(cell.statistics_dtype, shape, range.mean,
                       range.deviation / 6, random),
          RandomTensor(cell.statistics_dtype, shape, rstd, rstd / 6, random)};
}

}  // namespace

RandomValues::RandomValues(std::uint64_t seed, std::uint64_t index) {
  std::seed_seq sequence = {static_cast<std::uint32_t>(seed),
                            static_cast<std::uint32_t>(seed >> 32),
                            static_cast<std::uint32_t>(index),
                            static_cast<std::uint32_t>(index >> 32)};
  engine_.seed(sequence);
}

double RandomValues::NextUniform() {
  return static_cast<double>(engine_() >> 11) * 0x1p-53;
}

double RandomValues::Next() {
  const double first = NextUniform();
  const double second = NextUniform();
  const double third = NextUniform();
  return 2 * (first + second + third) - 3;
}

Problem MakeProblem(const Cell& cell, std::uint64_t seed, std::uint64_t index) {
  RandomValues random(seed, index);
  const ValueRange& range = cell.range;
  const auto num_elements = static_cast<std::size_t>(cell.shape.num_elements());
  std::vector<double> input(num_elements);
  std::vector<double> grad_output(num_elements);
  for (std::size_t i = 0; i < num_elements; ++i) {
    const double z = random.Next();
    input[i] = range.mean + range.deviation * z;
    grad_output[i] =
        range.grad_output_deviation * (random.Next() + 0.5 + 0.5 * z);
  }

  Problem problem;
  problem.layout = cell.layout;
  problem.num_groups = cell.num_groups;
  problem.epsilon = range.epsilon;
  problem.input = ToTensor(cell.dtype, cell.shape, input);
  problem.grad_output = ToTensor(cell.dtype, cell.shape, grad_output);
  const Shape channels = {ChannelExtent(cell.shape, cell.layout)};
  if (cell.has_weight) {
    problem.weight = RandomTensor(cell.parameter_dtype, channels, 0, 1, random);
  }
  if (cell.has_bias) {
    problem.bias = RandomTensor(cell.parameter_dtype, channels, 0, 1, random);
  }
  if (cell.statistics != StatisticsMode::kOwn) {
    problem.statistics = MakeStatistics(cell, cell.shape.extent(0), random);
  }
  problem.frozen_statistics = cell.statistics == StatisticsMode::kFrozen;
  problem.per_sample_gradients = cell.per_sample_gradients;
  problem.want_grad_input = cell.want_grad_input;
  problem.want_grad_weight = cell.want_grad_weight;
  problem.want_grad_bias = cell.want_grad_bias;
  return problem;
}

TensorData MakeGradOutput(DataType dtype, const Shape& shape,
                          std::uint64_t seed) {
  RandomValues random(seed, 0);
  return RandomTensor(dtype, shape, 0, 1, random);
}

std::optional<std::string> ReasonNotRun(const Cell& cell,
                                        const TensorData& input) {
  if (!cell.range.reason_not_run.empty()) {
    return std::string(cell.range.reason_not_run);
  }
  std::vector<double> values(
      static_cast<std::size_t>(input.shape.num_elements()));
  ElementsToDoubles(input.dtype, input.bytes.data(), values);
  if (!std::all_of(values.begin(), values.end(),
                   [](double value) { return std::isfinite(value); })) {
    return absl::StrFormat("%s cannot hold the values",
                           DataTypeName(input.dtype));
  }
  // A single value is what an edge shape asks for.
  if (values.size() > 1 &&
      std::all_of(values.begin(), values.end(),
                  [&](double value) { return value == values[0]; })) {
    return absl::StrCat("all values round to ", values[0]);
  }
  return std::nullopt;
}

}  // namespace groupnorm::verify
