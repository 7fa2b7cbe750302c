// Every small number of channels and of positions against the reference:
// whatever is left of vectors of any width at the end of a row or of a channel.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {
namespace {

constexpr std::int64_t kMaxChannels = 40;
constexpr std::int64_t kMaxSpatial = 70;

class EdgeShapes
    : public ::testing::TestWithParam<std::tuple<DataType, Layout>> {};

INSTANTIATE_TEST_SUITE_P(All, EdgeShapes,
                         ::testing::Combine(::testing::ValuesIn(kDataTypes),
                                            ::testing::ValuesIn(kLayouts)),
                         [](const auto& test) {
                           return std::string(
                                      DataTypeName(std::get<0>(test.param))) +
                                  (std::get<1>(test.param) ==
                                           Layout::kChannelsLast
                                       ? "ChannelsLast"
                                       : "ChannelsFirst");
                         });

std::vector<std::int64_t> Divisors(std::int64_t number) {
  std::vector<std::int64_t> divisors;
  for (std::int64_t i = 1; i <= number; ++i) {
    if (number % i == 0) divisors.push_back(i);
  }
  return divisors;
}

TEST_P(EdgeShapes, HoldForEveryNumberOfChannelsAndPositions) {
  const auto [dtype, layout] = GetParam();
  for (std::int64_t channels = 1; channels <= kMaxChannels; ++channels) {
    const std::vector<std::int64_t> divisors = Divisors(channels);
    for (std::int64_t spatial = 1; spatial <= kMaxSpatial; ++spatial) {
      // Every divisor meets every remainder of the extents.
      const std::int64_t num_groups =
          divisors[static_cast<std::size_t>(spatial) % divisors.size()];
      const GroupGeometry geometry =
          Geometry(layout, {1, channels, spatial, num_groups});
      const ForwardCase forward = RandomForward(dtype, geometry, Normal(2, 1));
      SCOPED_TRACE(Describe(forward));
      CheckForward(forward);
      CheckBackward(RandomBackward(dtype, geometry, Normal(2, 1)));
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace groupnorm
