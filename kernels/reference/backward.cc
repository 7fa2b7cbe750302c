#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/bounds.h"
#include "kernels/reference/reference.h"
#include "kernels/reference/statistics.h"

namespace groupnorm::reference {

namespace {

// The bound of a result that is not finite (see Expected). Certain is NaN from
// a NaN operand, in any order of the operations; what comes of an infinite one
// depends on the order.
long double BoundIfNotFinite(bool certain) {
  return certain ? 0 : std::numeric_limits<long double>::infinity();
}

// A sum over the values of one channel, with what its bound is made of.
struct ChannelSum {
  long double value = 0;
  long double sum_of_squares = 0;
  long double mean_rounding = 0;
  bool certain_if_not_finite = false;

  void Add(long double term) {
    value += term;
    sum_of_squares += term * term;
  }
};

// One Backward, unpacked.
struct Problem {
  explicit Problem(const BackwardInputs& inputs)
      : geometry(inputs.geometry),
        dtype(inputs.input.dtype),
        given(inputs.mean.has_value()),
        frozen(inputs.frozen_statistics),
        x(ToDoubles(inputs.input)),
        dy(ToDoubles(inputs.grad_output)),
        weight(ToDoublesOr(inputs.weight, inputs.geometry.channels, 1)),
        statistics(GroupStatistics(inputs.geometry, inputs.epsilon, x,
                                   inputs.mean, inputs.rstd)) {}

  const Statistics& StatisticsOf(std::int64_t n, std::int64_t g) const {
    return statistics[static_cast<std::size_t>(n * geometry.num_groups + g)];
  }

  // What rounding the mean to one double may do to a normalized value. Given
  // statistics are exact.
  long double MeanRounding(const Statistics& group) const {
    return given ? 0 : std::fabs(group.mean()) * group.rstd * 0x1p-52L;
  }

  const GroupGeometry geometry;
  const DataType dtype;
  const bool given;
  const bool frozen;
  const std::vector<double> x;
  const std::vector<double> dy;
  const std::vector<double> weight;
  const std::vector<Statistics> statistics;
};

// dx = rstd (weight dy - mean(weight dy) - xhat mean(weight dy xhat)), the
// means over the group; with frozen statistics the first term alone.
void GradInputOfGroup(const Problem& problem, std::int64_t n, std::int64_t g,
                      Expected& grad_input) {
  const GroupGeometry& geometry = problem.geometry;
  const Statistics& group = problem.StatisticsOf(n, g);
  const std::int64_t first = g * geometry.group_size();
  const std::int64_t last = first + geometry.group_size();

  long double sum_wdy = 0;
  long double sum_wdy_xhat = 0;
  RootMeanSquare rms_wdy;
  bool has_nan_operand = std::isnan(group.mean()) || std::isnan(group.rstd);
  for (std::int64_t c = first; c < last; ++c) {
    for (std::int64_t s = 0; s < geometry.spatial; ++s) {
      const std::size_t index = ElementIndex(geometry, n, c, s);
      const long double wdy = static_cast<long double>(
                                  problem.weight[static_cast<std::size_t>(c)]) *
                              problem.dy[index];
      sum_wdy += wdy;
      sum_wdy_xhat += wdy * group.Normalize(problem.x[index]);
      rms_wdy.Add(wdy);
      has_nan_operand =
          has_nan_operand || std::isnan(wdy) || std::isnan(problem.x[index]);
    }
  }
  const auto count = static_cast<long double>(geometry.values_per_group());
  const long double mean_wdy = problem.frozen ? 0 : sum_wdy / count;
  const long double mean_wdy_xhat = problem.frozen ? 0 : sum_wdy_xhat / count;
  const long double rstd = std::fabs(group.rstd);
  const long double d = problem.MeanRounding(group);

  for (std::int64_t c = first; c < last; ++c) {
    for (std::int64_t s = 0; s < geometry.spatial; ++s) {
      const std::size_t index = ElementIndex(geometry, n, c, s);
      const long double wdy = static_cast<long double>(
                                  problem.weight[static_cast<std::size_t>(c)]) *
                              problem.dy[index];
      // A frozen gradient does not depend on x, not even on a NaN in it.
      const long double xhat =
          problem.frozen ? 0 : group.Normalize(problem.x[index]);
      const long double dx =
          group.rstd * (wdy - mean_wdy - xhat * mean_wdy_xhat);
      const long double typical = std::max(
          rstd * rms_wdy.Get(), rstd * (std::fabs(wdy) + std::fabs(mean_wdy) +
                                        std::fabs(xhat * mean_wdy_xhat)));
      grad_input.value[index] = dx;
      if (std::isfinite(dx)) {
        const long double magnitude = std::max(std::fabs(dx), typical);
        grad_input.magnitude[index] = magnitude;
        grad_input.bound[index] =
            ErrorBound(problem.dtype, magnitude,
                       Float64Tolerance(problem.dtype, problem.given)) +
            d * (1 + std::fabs(xhat)) * typical;
      } else {
        // A frozen gradient is one product, the same in any order.
        grad_input.bound[index] =
            BoundIfNotFinite(problem.frozen || has_nan_operand);
      }
    }
  }
}

// Adds one sample's values of one channel to its two sums.
void AddChannel(const Problem& problem, std::int64_t n, std::int64_t c,
                ChannelSum& dweight, ChannelSum& dbias) {
  const GroupGeometry& geometry = problem.geometry;
  const Statistics& group = problem.StatisticsOf(n, c / geometry.group_size());
  const long double d = problem.MeanRounding(group);
  for (std::int64_t s = 0; s < geometry.spatial; ++s) {
    const std::size_t index = ElementIndex(geometry, n, c, s);
    const long double dy = problem.dy[index];
    const long double xhat = group.Normalize(problem.x[index]);
    dweight.Add(dy * xhat);
    dweight.certain_if_not_finite =
        dweight.certain_if_not_finite || std::isnan(dy) ||
        std::isnan(problem.x[index]) || std::isnan(group.mean()) ||
        std::isnan(group.rstd);
    dweight.mean_rounding += d * std::fabs(dy);
    dbias.Add(dy);
    dbias.certain_if_not_finite = true;  // A plain sum has only one result.
  }
}

Expected FromSums(const std::vector<ChannelSum>& sums, DataType dtype,
                  long double float64_tolerance) {
  Expected expected;
  expected.dtype = dtype;
  for (const ChannelSum& sum : sums) {
    const long double magnitude =
        std::max(std::fabs(sum.value), std::sqrt(sum.sum_of_squares));
    expected.value.push_back(sum.value);
    expected.magnitude.push_back(magnitude);
    expected.bound.push_back(
        std::isfinite(sum.value)
            ? ErrorBound(dtype, magnitude, float64_tolerance) +
                  sum.mean_rounding
            : BoundIfNotFinite(sum.certain_if_not_finite));
  }
  return expected;
}

}  // namespace

BackwardExpected Backward(const BackwardInputs& inputs) {
  const Problem problem(inputs);
  const GroupGeometry& geometry = problem.geometry;

  BackwardExpected expected;
  expected.grad_input = {problem.dtype,
                         std::vector<long double>(problem.x.size()),
                         std::vector<long double>(problem.x.size()),
                         std::vector<long double>(problem.x.size())};
  for (std::int64_t n = 0; n < geometry.batch; ++n) {
    for (std::int64_t g = 0; g < geometry.num_groups; ++g) {
      GradInputOfGroup(problem, n, g, expected.grad_input);
    }
  }

  const std::int64_t rows = inputs.per_sample_gradients ? geometry.batch : 1;
  const auto size = static_cast<std::size_t>(rows * geometry.channels);
  std::vector<ChannelSum> dweight(size);
  std::vector<ChannelSum> dbias(size);
  for (std::int64_t n = 0; n < geometry.batch; ++n) {
    const std::int64_t row = inputs.per_sample_gradients ? n : 0;
    for (std::int64_t c = 0; c < geometry.channels; ++c) {
      const auto i = static_cast<std::size_t>(row * geometry.channels + c);
      AddChannel(problem, n, c, dweight[i], dbias[i]);
    }
  }
  const DataType sums_dtype = inputs.per_sample_gradients ? DataType::kFloat64
                              : inputs.weight             ? inputs.weight->dtype
                                                          : problem.dtype;
  const long double tolerance = Float64Tolerance(problem.dtype, problem.given);
  expected.grad_weight = FromSums(dweight, sums_dtype, tolerance);
  expected.grad_bias = FromSums(dbias, sums_dtype, tolerance);
  return expected;
}

}  // namespace groupnorm::reference
