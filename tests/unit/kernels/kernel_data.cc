#include "tests/unit/kernels/kernel_data.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace groupnorm {

namespace {

constexpr std::uint64_t kSeed = 20260501;

std::int64_t ChannelOf(const GroupGeometry& geometry, std::int64_t i) {
  return geometry.layout == Layout::kChannelsLast
             ? i % geometry.channels
             : i / geometry.spatial % geometry.channels;
}

std::vector<double> Draw(const GroupGeometry& geometry, const Distribution& x,
                         std::mt19937_64& random) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(geometry.num_elements()));
  for (std::int64_t i = 0; i < geometry.num_elements(); ++i) {
    values.push_back(x(ChannelOf(geometry, i), random));
  }
  return values;
}

std::vector<double> DrawChannels(const GroupGeometry& geometry, double mean,
                                 std::mt19937_64& random) {
  std::normal_distribution<double> normal(mean, 0.5);
  std::vector<double> values(static_cast<std::size_t>(geometry.channels));
  for (double& value : values) value = normal(random);
  return values;
}

void Fill(DataType dtype, const GroupGeometry& geometry, const Distribution& x,
          std::mt19937_64& random, KernelInputs& c) {
  c.geometry = geometry;
  c.dtype = dtype;
  c.input = ToElements(dtype, Draw(geometry, x, random));
  c.weight = DrawChannels(geometry, 1, random);
}

}  // namespace

Distribution Normal(double mean, double std) {
  return [mean, std](std::int64_t, std::mt19937_64& random) {
    return mean + std * std::normal_distribution<double>()(random);
  };
}

GroupGeometry Geometry(Layout layout, const Extents& extents) {
  GroupGeometry geometry;
  geometry.layout = layout;
  geometry.batch = extents.batch;
  geometry.channels = extents.channels;
  geometry.spatial = extents.spatial;
  geometry.num_groups = extents.num_groups;
  return geometry;
}

ForwardCase RandomForward(DataType dtype, const GroupGeometry& geometry,
                          const Distribution& x) {
  std::mt19937_64 random(kSeed);
  ForwardCase c;
  Fill(dtype, geometry, x, random, c);
  c.bias = DrawChannels(geometry, 0, random);
  return c;
}

BackwardCase RandomBackward(DataType dtype, const GroupGeometry& geometry,
                            const Distribution& x) {
  std::mt19937_64 random(kSeed);
  BackwardCase c;
  Fill(dtype, geometry, x, random, c);
  c.grad_output = ToElements(dtype, Draw(geometry, Normal(0.25, 1), random));
  return c;
}

void GiveStatistics(KernelInputs& c) {
  reference::ForwardInputs inputs;
  inputs.geometry = c.geometry;
  inputs.epsilon = c.epsilon;
  inputs.input = {c.dtype, c.shape(), c.input.data()};
  const reference::ForwardExpected expected = reference::Forward(inputs);
  c.mean.clear();
  c.rstd.clear();
  for (std::size_t i = 0; i < expected.mean.value.size(); ++i) {
    const auto rstd = static_cast<double>(expected.rstd.value[i]);
    // A running mean is off by a part of the spread.
    c.mean.push_back(static_cast<double>(expected.mean.value[i]) + 0.25 / rstd);
    c.rstd.push_back(rstd * 0.75);
  }
}

std::string Describe(const KernelInputs& c) {
  const std::string_view dtype = DataTypeName(c.dtype);
  return absl::StrCat(
      absl::string_view(dtype.data(), dtype.size()), " ", c.shape().ToString(),
      c.geometry.layout == Layout::kChannelsLast ? " channels last, "
                                                 : " channels first, ",
      c.geometry.num_groups, " groups", c.statistics_given() ? ", given" : "");
}

}  // namespace groupnorm
