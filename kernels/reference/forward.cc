#include <algorithm>
#include <cmath>

#include "kernels/reference/bounds.h"
#include "kernels/reference/reference.h"
#include "kernels/reference/statistics.h"

namespace groupnorm::reference {

namespace {

void AppendStatistics(const Statistics& statistics, bool given, DataType input,
                      ForwardExpected& expected) {
  const long double mean = statistics.mean();
  const long double rstd = statistics.rstd;
  long double mean_bound = 0;
  long double rstd_bound = 0;
  // Statistics that are given come back as they are, and those that are not
  // finite leave nothing to err in.
  if (!given && std::isfinite(mean) && std::isfinite(rstd)) {
    mean_bound = 1e-12L * std::sqrt(statistics.variance) +
                 UnitInLastPlace(DataType::kFloat64, mean);
    rstd_bound = (input == DataType::kFloat64 ? 1e-12L : 1e-11L) * rstd;
  }
  expected.mean.value.push_back(mean);
  expected.mean.bound.push_back(mean_bound);
  expected.rstd.value.push_back(rstd);
  expected.rstd.bound.push_back(rstd_bound);
}

}  // namespace

ForwardExpected Forward(const ForwardInputs& inputs) {
  const GroupGeometry& geometry = inputs.geometry;
  const std::vector<double> x = ToDoubles(inputs.input);
  const std::vector<double> weight =
      ToDoublesOr(inputs.weight, geometry.channels, 1);
  const std::vector<double> bias =
      ToDoublesOr(inputs.bias, geometry.channels, 0);
  const std::vector<Statistics> all_statistics =
      GroupStatistics(geometry, inputs.epsilon, x, inputs.mean, inputs.rstd);
  const bool given = inputs.mean.has_value();
  const DataType dtype = inputs.input.dtype;

  ForwardExpected expected;
  expected.output = {dtype, std::vector<long double>(x.size()),
                     std::vector<long double>(x.size())};
  for (std::size_t i = 0; i < all_statistics.size(); ++i) {
    const Statistics& statistics = all_statistics[i];
    AppendStatistics(statistics, given, dtype, expected);
    const std::int64_t n = static_cast<std::int64_t>(i) / geometry.num_groups;
    const std::int64_t g = static_cast<std::int64_t>(i) % geometry.num_groups;
    const std::int64_t first = g * geometry.group_size();
    const std::int64_t last = first + geometry.group_size();

    RootMeanSquare rms_xhat;
    for (std::int64_t c = first; c < last; ++c) {
      for (std::int64_t s = 0; s < geometry.spatial; ++s) {
        rms_xhat.Add(statistics.Normalize(x[ElementIndex(geometry, n, c, s)]));
      }
    }
    for (std::int64_t c = first; c < last; ++c) {
      const long double weight_c = weight[static_cast<std::size_t>(c)];
      const long double bias_c = bias[static_cast<std::size_t>(c)];
      const long double typical =
          std::fabs(weight_c) * rms_xhat.Get() + std::fabs(bias_c);
      for (std::int64_t s = 0; s < geometry.spatial; ++s) {
        const std::size_t index = ElementIndex(geometry, n, c, s);
        const long double y =
            statistics.Normalize(x[index]) * weight_c + bias_c;
        expected.output.value[index] = y;
        expected.output.bound[index] =
            std::isfinite(y)
                ? ErrorBound(dtype, std::max(std::fabs(y), typical),
                             Float64Tolerance(dtype, given))
                : 0;
      }
    }
  }
  return expected;
}

}  // namespace groupnorm::reference
