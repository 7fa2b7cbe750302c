// Groups of 64 Ki and 4 Mi values against the reference, for every kind of
// values that costs digits: an error that grows with the number of values shows
// here.

#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"
#include "tests/unit/kernels/sanitized.h"

namespace groupnorm {
namespace {

constexpr std::int64_t kChannels = 7;

struct Values {
  std::string name;
  Distribution x;
  // FLOAT16 ends at 65504 and at 6e-8: it would hold infinities, or zeros.
  bool held_by_float16;
};

Distribution OneOutlier() {
  const auto drawn = std::make_shared<bool>(false);
  return [drawn](std::int64_t, std::mt19937_64& random) {
    const double value = std::normal_distribution<double>()(random);
    return std::exchange(*drawn, true) ? value : 1e6;
  };
}

Distribution ChannelMeans() {
  return [](std::int64_t channel, std::mt19937_64& random) {
    return 100.0 * static_cast<double>(channel) +
           std::normal_distribution<double>()(random);
  };
}

Distribution Uniform() {
  return [](std::int64_t, std::mt19937_64& random) {
    return std::uniform_real_distribution<double>(0, 255)(random);
  };
}

std::vector<Values> AllValues() {
  return {{"benign", Normal(0, 1), true},
          {"mean 30", Normal(30, 1), true},
          {"mean 1e2", Normal(1e2, 1), true},
          {"mean 1e3", Normal(1e3, 1), true},
          {"mean 3e3", Normal(3e3, 1), true},
          {"mean 1e4", Normal(1e4, 1), true},
          {"mean 1e5", Normal(1e5, 1), false},
          {"mean 1e6, std 0.1", Normal(1e6, 0.1), false},
          {"1e30", Normal(0, 1e30), false},
          {"1e-30", Normal(0, 1e-30), false},
          {"subnormal in FLOAT32", Normal(0, 3e-39), false},
          {"subnormal in FLOAT16", Normal(0, 1e-5), true},
          {"one outlier of 1e6", OneOutlier(), false},
          {"channel means 0 to 600", ChannelMeans(), true},
          {"constant", Normal(0.7, 0), true},
          {"uniform", Uniform(), true}};
}

class LargeGroups
    : public ::testing::TestWithParam<std::tuple<DataType, Layout>> {
 protected:
  void SetUp() override {
    if (kSanitized) {
      GTEST_SKIP() << "left out under the sanitizer: other tests have groups "
                      "of two blocks";
    }
  }

  DataType dtype() const { return std::get<0>(GetParam()); }
  Layout layout() const { return std::get<1>(GetParam()); }
};

std::string NameOf(
    const ::testing::TestParamInfo<std::tuple<DataType, Layout>>& info) {
  return std::string(DataTypeName(std::get<0>(info.param))) +
         (std::get<1>(info.param) == Layout::kChannelsLast ? "ChannelsLast"
                                                           : "ChannelsFirst");
}

INSTANTIATE_TEST_SUITE_P(All, LargeGroups,
                         ::testing::Combine(::testing::ValuesIn(kDataTypes),
                                            ::testing::ValuesIn(kLayouts)),
                         NameOf);

TEST_P(LargeGroups, OfTwoBlocksHoldForEveryKindOfValues) {
  // 65,541 values a group.
  const GroupGeometry geometry = Geometry(layout(), {1, kChannels, 9363, 1});
  for (const Values& values : AllValues()) {
    SCOPED_TRACE(values.name);
    if (dtype() == DataType::kFloat16 && !values.held_by_float16) {
      std::cout << "left out: FLOAT16 does not hold " << values.name << '\n';
      continue;
    }
    CheckForward(RandomForward(dtype(), geometry, values.x));
    CheckBackward(RandomBackward(dtype(), geometry, values.x));
  }
}

// Where each cell takes a second, in one element type: the statistics, which
// alone depend on so many values, are float64 for all. Backward's sums are as
// long at any mean.
class HugeGroups : public LargeGroups {};

INSTANTIATE_TEST_SUITE_P(
    Some, HugeGroups,
    ::testing::Combine(::testing::Values(DataType::kFloat32),
                       ::testing::ValuesIn(kLayouts)),
    NameOf);

TEST_P(HugeGroups, HoldAtAnyMean) {
  const GroupGeometry geometry = Geometry(layout(), {1, 2, 1 << 21, 1});
  for (const double mean : {30., 1e2, 1e3, 3e3, 1e4, 1e5}) {
    SCOPED_TRACE(mean);
    CheckForward(RandomForward(dtype(), geometry, Normal(mean, 1)));
  }
  CheckBackward(RandomBackward(dtype(), geometry, Normal(3e3, 1)));
}

}  // namespace
}  // namespace groupnorm
