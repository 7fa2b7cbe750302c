#include "kernels/reference/statistics.h"

#include <cmath>
#include <limits>

#include "tensor/element.h"

namespace groupnorm::reference {

namespace {

constexpr long double kNan = std::numeric_limits<long double>::quiet_NaN();

std::vector<double> ValuesOfGroup(const GroupGeometry& geometry,
                                  std::span<const double> input,
                                  std::int64_t sample, std::int64_t group) {
  std::vector<double> values;
  if (geometry.spatial == 0) return values;  // However many channels there are.
  const std::int64_t first = group * geometry.group_size();
  for (std::int64_t c = first; c < first + geometry.group_size(); ++c) {
    for (std::int64_t s = 0; s < geometry.spatial; ++s) {
      values.push_back(input[ElementIndex(geometry, sample, c, s)]);
    }
  }
  return values;
}

Statistics Compute(std::span<const double> values, double epsilon) {
  if (values.empty()) return {.rstd = kNan};
  for (const double value : values) {
    if (!std::isfinite(value)) return {.pivot = kNan, .rstd = kNan};
  }
  const auto count = static_cast<long double>(values.size());
  const long double pivot = values.front();
  long double sum = 0;
  for (const double value : values) sum += value - pivot;
  const long double mean_minus_pivot = sum / count;
  long double sum_of_squares = 0;
  for (const double value : values) {
    const long double deviation = (value - pivot) - mean_minus_pivot;
    sum_of_squares += deviation * deviation;
  }
  const long double variance = sum_of_squares / count;
  return {.pivot = pivot,
          .mean_minus_pivot = mean_minus_pivot,
          .variance = variance,
          .rstd = 1 / std::sqrt(variance + epsilon)};
}

}  // namespace

std::vector<double> ToDoubles(const TensorView& tensor) {
  std::vector<double> values(
      static_cast<std::size_t>(tensor.shape.num_elements()));
  ElementsToDoubles(tensor.dtype, tensor.data, values);
  return values;
}

std::vector<double> ToDoublesOr(const std::optional<TensorView>& tensor,
                                std::int64_t size, double otherwise) {
  if (tensor) return ToDoubles(*tensor);
  return std::vector<double>(static_cast<std::size_t>(size), otherwise);
}

std::size_t ElementIndex(const GroupGeometry& geometry, std::int64_t sample,
                         std::int64_t channel, std::int64_t position) {
  const std::int64_t index =
      geometry.layout == Layout::kChannelsFirst
          ? (sample * geometry.channels + channel) * geometry.spatial + position
          : (sample * geometry.spatial + position) * geometry.channels +
                channel;
  return static_cast<std::size_t>(index);
}

std::vector<Statistics> GroupStatistics(const GroupGeometry& geometry,
                                        double epsilon,
                                        std::span<const double> input,
                                        const std::optional<TensorView>& mean,
                                        const std::optional<TensorView>& rstd) {
  std::vector<Statistics> statistics;
  if (mean) {
    const std::vector<double> means = ToDoubles(*mean);
    const std::vector<double> rstds = ToDoubles(*rstd);
    for (std::size_t i = 0; i < means.size(); ++i) {
      statistics.push_back({.pivot = means[i], .rstd = rstds[i]});
    }
    return statistics;
  }
  for (std::int64_t n = 0; n < geometry.batch; ++n) {
    for (std::int64_t g = 0; g < geometry.num_groups; ++g) {
      statistics.push_back(
          Compute(ValuesOfGroup(geometry, input, n, g), epsilon));
    }
  }
  return statistics;
}

void RootMeanSquare::Add(long double value) {
  if (!std::isfinite(value)) return;
  sum_of_squares_ += value * value;
  ++count_;
}

long double RootMeanSquare::Get() const {
  if (count_ == 0) return 0;
  return std::sqrt(sum_of_squares_ / static_cast<long double>(count_));
}

}  // namespace groupnorm::reference
