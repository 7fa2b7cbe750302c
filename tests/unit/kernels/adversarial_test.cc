// Data made to bring out the worst of the sums: the error bounds of
// docs/math.md are argued for any values, not for random ones.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {
namespace {

class AdversarialData : public ::testing::TestWithParam<Layout> {
 protected:
  GroupGeometry geometry(const Extents& extents) const {
    return Geometry(GetParam(), extents);
  }
};

INSTANTIATE_TEST_SUITE_P(Layouts, AdversarialData,
                         ::testing::ValuesIn(kLayouts));

// Every rounding error of a lane has the same sign where its values are equal,
// and the cancellation in M2 is the worst that is not done again.
TEST_P(AdversarialData, TwoValuesAtTheThresholdOfTheSecondPass) {
  for (const DataType dtype : {DataType::kFloat32, DataType::kFloat64}) {
    for (const double distance : {9.99, 9.9999, 10.0001, 3.9, 4.1}) {
      for (const std::int64_t values : {1024, 65536, 150000}) {
        ForwardCase c = RandomForward(dtype, geometry({1, 1, values, 1}));
        SCOPED_TRACE(Describe(c));
        SCOPED_TRACE(distance);
        std::vector<double> x(static_cast<std::size_t>(values));
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double sign = i < x.size() / 2 ? -1 : 1;
          x[i] = (distance + sign) / 3;
        }
        // Float64 is summed about the first value.
        x[0] = 0;
        c.epsilon = 0;
        c.input = ToElements(dtype, x);
        CheckForward(c);
      }
    }
  }
}

TEST_P(AdversarialData, AnOutlierAsTheFirstValue) {
  for (const double outlier : {1e3, 1e8, 1e15}) {
    for (const double mean : {0., 7.3, 1e6}) {
      ForwardCase c = RandomForward(
          DataType::kFloat64, geometry({1, 2, 70000, 1}), Normal(mean, 1));
      std::vector<double> x = FromElements(c.dtype, c.input);
      x[0] = outlier;
      c.input = ToElements(c.dtype, x);
      CheckForward(c);
    }
  }
}

// The sum of each half is some hundred times the typical magnitude of both.
TEST_P(AdversarialData, GradientsOfConstantHalves) {
  for (const DataType dtype : {DataType::kFloat32, DataType::kFloat64}) {
    for (const std::int64_t values : {65536, 300000}) {
      BackwardCase c = RandomBackward(dtype, geometry({2, 1, values, 1}));
      SCOPED_TRACE(Describe(c));
      std::vector<double> x(static_cast<std::size_t>(2 * values));
      std::vector<double> dy(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const bool second =
            i % static_cast<std::size_t>(values) >= x.size() / 4;
        x[i] = second ? 1.0 / 3 : -0.1;
        dy[i] = second ? 0.7 : 0.7 + 1e-9;
      }
      c.input = ToElements(dtype, x);
      c.grad_output = ToElements(dtype, dy);
      c.per_sample_gradients = true;
      CheckBackward(c);
    }
  }
}

// A single value a channel: no other term hides an error of the mean. The other
// values cancel, so that the result is known; the reference, whose sums round,
// is further off than the bound.
TEST_P(AdversarialData, AValueNearTheMeanThatIsItsOwnChannel) {
  constexpr std::int64_t kChannels = 70001;
  const GroupGeometry one_group = geometry({1, kChannels, 1, 1});
  BackwardCase c = RandomBackward(DataType::kFloat64, one_group);
  ForwardCase forward = RandomForward(DataType::kFloat64, one_group);
  std::vector<double> x = FromElements(c.dtype, c.input);
  for (std::size_t i = 0; i + 1 < x.size(); i += 2) x[i + 1] = -x[i];
  const double dy = FromElements(c.dtype, c.grad_output).back();
  for (const double last : {1e-3, 1e-9, 1e-14}) {
    x.back() = last;
    c.input = forward.input = ToElements(c.dtype, x);
    const double rstd = RunForward(forward).rstd[0];
    const double expected = dy * rstd * last * (1 - 1.0 / kChannels);
    EXPECT_NEAR(RunBackward(c).grad_weight.back() / expected, 1, 1e-12) << last;
  }
}

// Outliers whose product with the weight lies just below a power of two, and a
// bias that takes away half of it: the largest product that a result of its
// magnitude can have, and so the largest errors of difference and scale.
TEST_P(AdversarialData, ABiasThatCancelsAnOutlier) {
  constexpr std::int64_t kChannels = 1000;
  constexpr std::int64_t kPositions = 1600;
  ForwardCase c = RandomForward(
      DataType::kFloat32, geometry({1, kChannels, kPositions, kChannels}));
  std::vector<double> x = FromElements(c.dtype, c.input);
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    const std::size_t first =
        GetParam() == Layout::kChannelsLast ? channel : channel * kPositions;
    // Some 40 deviations from the mean, with a significand close to 1.
    x[first] = 4100 + 0.1 * static_cast<double>(channel);
    c.weight[channel] = 62.2 / std::sqrt(kPositions - 1.0);
    c.bias[channel] = -30.3;
  }
  c.input = ToElements(c.dtype, x);
  CheckForward(c);
}

// The same, where the result moreover lies so close below a power of two that
// the additions round in the next binade.
TEST_P(AdversarialData, ABiasThatLeavesAlmostAPowerOfTwo) {
  constexpr std::int64_t kChannels = 1000;
  constexpr std::int64_t kPositions = 1024;
  ForwardCase c = RandomForward(
      DataType::kFloat32, geometry({1, kChannels, kPositions, kChannels}));
  std::vector<double> x = FromElements(c.dtype, c.input);
  const auto outlier = [](std::size_t channel) {
    return GetParam() == Layout::kChannelsLast ? channel : channel * kPositions;
  };
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    // Some 32 deviations from the mean, with a significand close to 1.
    x[outlier(channel)] = 4100 + 0.1 * static_cast<double>(channel);
  }
  c.input = ToElements(c.dtype, x);
  x = FromElements(c.dtype, c.input);
  const ForwardResult statistics = RunForward(c);
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    const long double xhat = (static_cast<long double>(x[outlier(channel)]) -
                              statistics.mean[channel]) *
                             statistics.rstd[channel];
    const double fraction = static_cast<double>(channel) / kChannels;
    c.weight[channel] = static_cast<double>((7.7 + 0.02 * fraction) / xhat);
    // Up to 2.2 ulp below 4.
    c.bias[channel] = static_cast<double>(4 - 2.2 * fraction * 0x1p-22 -
                                          xhat * c.weight[channel]);
  }
  CheckForward(c);
}

}  // namespace
}  // namespace groupnorm
