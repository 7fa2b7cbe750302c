#include <algorithm>
#include <cmath>

#include "kernels/reference/bounds.h"
#include "kernels/reference/reference.h"
#include "kernels/reference/statistics.h"

namespace groupnorm::reference {

namespace {

struct Operands {
  std::vector<double> x;
  std::vector<double> weight;
  std::vector<double> bias;
  long double float64_tolerance = 0;
};

void AppendStatistics(const Statistics& statistics, bool given, DataType input,
                      ForwardExpected& expected) {
  const long double mean = statistics.mean();
  const long double rstd = statistics.rstd;
  long double mean_magnitude = std::fabs(mean);
  long double mean_bound = 0;
  long double rstd_bound = 0;
  // Statistics that are given come back as they are, and those that are not
  // finite leave nothing to err in.
  if (!given && std::isfinite(mean) && std::isfinite(rstd)) {
    const long double deviation = std::sqrt(statistics.variance);
    mean_magnitude = std::max(mean_magnitude, deviation);
    mean_bound = 1e-12L * deviation + UnitInLastPlace(DataType::kFloat64, mean);
    rstd_bound = (input == DataType::kFloat64 ? 1e-12L : 1e-11L) * rstd;
  }
  expected.mean.value.push_back(mean);
  expected.mean.bound.push_back(mean_bound);
  expected.mean.magnitude.push_back(mean_magnitude);
  expected.rstd.value.push_back(rstd);
  expected.rstd.bound.push_back(rstd_bound);
}

// The outputs of one (sample, group).
void OutputOfGroup(const GroupGeometry& geometry, std::int64_t n,
                   std::int64_t g, const Statistics& statistics,
                   const Operands& operands, Expected& output) {
  const std::int64_t first = g * geometry.group_size();
  const std::int64_t last = first + geometry.group_size();
  RootMeanSquare rms_xhat;
  for (std::int64_t c = first; c < last; ++c) {
    for (std::int64_t s = 0; s < geometry.spatial; ++s) {
      const std::size_t index = ElementIndex(geometry, n, c, s);
      rms_xhat.Add(statistics.Normalize(operands.x[index]));
    }
  }
  for (std::int64_t c = first; c < last; ++c) {
    const long double weight = operands.weight[static_cast<std::size_t>(c)];
    const long double bias = operands.bias[static_cast<std::size_t>(c)];
    const long double typical =
        std::fabs(weight) * rms_xhat.Get() + std::fabs(bias);
    for (std::int64_t s = 0; s < geometry.spatial; ++s) {
      const std::size_t index = ElementIndex(geometry, n, c, s);
      const long double y =
          statistics.Normalize(operands.x[index]) * weight + bias;
      output.value[index] = y;
      if (!std::isfinite(y)) continue;
      const long double magnitude = std::max(std::fabs(y), typical);
      output.magnitude[index] = magnitude;
      output.bound[index] =
          ErrorBound(output.dtype, magnitude, operands.float64_tolerance);
    }
  }
}

}  // namespace

ForwardExpected Forward(const ForwardInputs& inputs) {
  const GroupGeometry& geometry = inputs.geometry;
  const DataType dtype = inputs.input.dtype;
  const bool given = inputs.mean.has_value();
  Operands operands;
  operands.x = ToDoubles(inputs.input);
  operands.float64_tolerance = Float64Tolerance(dtype, given);
  const std::vector<Statistics> all_statistics = GroupStatistics(
      geometry, inputs.epsilon, operands.x, inputs.mean, inputs.rstd);

  ForwardExpected expected;
  for (const Statistics& statistics : all_statistics) {
    AppendStatistics(statistics, given, dtype, expected);
  }
  expected.output = {dtype, std::vector<long double>(operands.x.size()),
                     std::vector<long double>(operands.x.size()),
                     std::vector<long double>(operands.x.size())};
  // Without values there may be more channels than memory.
  if (operands.x.empty()) return expected;
  operands.weight = ToDoublesOr(inputs.weight, geometry.channels, 1);
  operands.bias = ToDoublesOr(inputs.bias, geometry.channels, 0);
  for (std::size_t i = 0; i < all_statistics.size(); ++i) {
    const std::int64_t n = static_cast<std::int64_t>(i) / geometry.num_groups;
    const std::int64_t g = static_cast<std::int64_t>(i) % geometry.num_groups;
    OutputOfGroup(geometry, n, g, all_statistics[i], operands, expected.output);
  }
  return expected;
}

}  // namespace groupnorm::reference
