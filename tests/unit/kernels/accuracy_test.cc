// Forward and Backward against the reference, over element types, layouts,
// sizes, options and kinds of values.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {
namespace {

class KernelAccuracy
    : public ::testing::TestWithParam<std::tuple<DataType, Layout>> {
 protected:
  DataType dtype() const { return std::get<0>(GetParam()); }
  Layout layout() const { return std::get<1>(GetParam()); }

  void Check(const Extents& extents, const Distribution& x,
             double epsilon = 1e-5) const {
    const GroupGeometry geometry = Geometry(layout(), extents);
    ForwardCase forward = RandomForward(dtype(), geometry, x);
    forward.epsilon = epsilon;
    SCOPED_TRACE(Describe(forward));
    CheckForward(forward);
    BackwardCase backward = RandomBackward(dtype(), geometry, x);
    backward.epsilon = epsilon;
    CheckBackward(backward);
  }
};

std::string NameOf(
    const ::testing::TestParamInfo<std::tuple<DataType, Layout>>& info) {
  return std::string(DataTypeName(std::get<0>(info.param))) +
         (std::get<1>(info.param) == Layout::kChannelsLast ? "ChannelsLast"
                                                           : "ChannelsFirst");
}

INSTANTIATE_TEST_SUITE_P(All, KernelAccuracy,
                         ::testing::Combine(::testing::ValuesIn(kDataTypes),
                                            ::testing::ValuesIn(kLayouts)),
                         NameOf);

TEST_P(KernelAccuracy, HoldsForAnySizes) {
  for (const Extents& extents : std::vector<Extents>{{1, 1, 1, 1},
                                                     {2, 3, 1, 3},
                                                     {3, 4, 1, 2},
                                                     {2, 6, 8, 3},
                                                     {1, 1, 33, 1},
                                                     {2, 34, 31, 2},
                                                     {1, 21, 65, 3},
                                                     {1, 600, 3, 1},
                                                     {1, 17, 527, 17},
                                                     {3, 40, 49, 5},
                                                     {1, 2000, 40, 1000},
                                                     {1, 9000, 17, 9000}}) {
    Check(extents, Normal(0.5, 1));
  }
}

TEST_P(KernelAccuracy, HoldsAtTheBordersOfBlocks) {
  for (const std::int64_t values : {65535, 65536, 65537}) {
    Check({1, 1, values, 1}, Normal(-0.5, 2));
  }
  Check({1, 3, 66000, 1}, Normal(-0.5, 2));
  Check({1, 70001, 1, 1}, Normal(0, 1));
  Check({1, 35001, 2, 1}, Normal(0, 1));
}

TEST_P(KernelAccuracy, HoldsAtAnyMean) {
  for (const double mean : {30., 1e2, 1e3, 3e3, 1e4, 1e5, 1e6}) {
    SCOPED_TRACE(mean);
    Check({2, 6, 700, 3}, Normal(mean, 1));
  }
  Check({2, 6, 700, 3}, Normal(1e6, 0.1));
}

TEST_P(KernelAccuracy, HoldsAtAnyScale) {
  // Beyond the element type's range these become infinities, or zeros.
  for (const double epsilon : {1e-5, 0.}) {
    SCOPED_TRACE(epsilon);
    for (const double scale :
         {1e30, 1e20, 1e4, 1e-4, 1e-6, 1e-20, 1e-30, 1e-38, 1e-40}) {
      SCOPED_TRACE(scale);
      Check({2, 6, 70, 3}, Normal(0, scale), epsilon);
      Check({2, 6, 70, 3}, Normal(3 * scale, scale), epsilon);
    }
  }
}

TEST_P(KernelAccuracy, HoldsForUnevenValues) {
  const Distribution outlier = [](std::int64_t, std::mt19937_64& random) {
    const double value = std::normal_distribution<double>()(random);
    return std::bernoulli_distribution(0.001)(random) ? 1e6 * value : value;
  };
  const Distribution channel_means = [](std::int64_t channel,
                                        std::mt19937_64& random) {
    return 100.0 * static_cast<double>(channel) +
           std::normal_distribution<double>()(random);
  };
  const Distribution uniform = [](std::int64_t, std::mt19937_64& random) {
    return std::uniform_real_distribution<double>(0, 255)(random);
  };
  for (const Distribution& x : {outlier, channel_means, uniform}) {
    Check({2, 7, 900, 1}, x);
  }
}

TEST_P(KernelAccuracy, GivesConstantsVarianceZero) {
  for (const double value : {0., 1., 0.1, -1e4, 3e-5}) {
    SCOPED_TRACE(value);
    for (const std::int64_t spatial : {1, 50, 33000}) {
      if (spatial == 33000 && value != 0.1) continue;
      const Extents extents = {1, 2, spatial, 1};
      ForwardCase c =
          RandomForward(dtype(), Geometry(layout(), extents), Normal(value, 0));
      const ForwardResult result = RunForward(c);
      EXPECT_EQ(result.rstd[0], 1 / std::sqrt(1e-5));
      EXPECT_EQ(result.mean[0], FromElements(dtype(), c.input)[0]);
      c.epsilon = 0;
      const ForwardResult without_epsilon = RunForward(c);
      EXPECT_EQ(without_epsilon.rstd[0],
                std::numeric_limits<double>::infinity());
      for (const double y : FromElements(dtype(), without_epsilon.output)) {
        ASSERT_TRUE(std::isnan(y)) << y;
      }
      Check(extents, Normal(value, 0));
    }
  }
}

TEST_P(KernelAccuracy, HoldsForGivenStatistics) {
  for (const double mean : {0., 1e3, 1e6}) {
    // Large groups once: they take the reference long.
    const std::vector<Extents> several =
        mean == 1e3 ? std::vector<Extents>{{2, 6, 50, 3}, {1, 2, 70000, 1}}
                    : std::vector<Extents>{{2, 6, 50, 3}};
    for (const Extents& extents : several) {
      const GroupGeometry geometry = Geometry(layout(), extents);
      ForwardCase forward = RandomForward(dtype(), geometry, Normal(mean, 1));
      GiveStatistics(forward);
      // Where the element type holds the values all equal or infinite.
      if (!std::isfinite(forward.mean[0]) || !(forward.rstd[0] < 100)) continue;
      SCOPED_TRACE(Describe(forward));
      CheckForward(forward);
      const ForwardResult result = RunForward(forward);
      EXPECT_EQ(result.mean, forward.mean);
      EXPECT_EQ(result.rstd, forward.rstd);
      BackwardCase backward =
          RandomBackward(dtype(), geometry, Normal(mean, 1));
      backward.mean = forward.mean;
      backward.rstd = forward.rstd;
      for (const bool frozen : {false, true}) {
        for (const bool per_sample : {false, true}) {
          if (extents.spatial > 50 && frozen == per_sample) continue;
          backward.frozen_statistics = frozen;
          backward.per_sample_gradients = per_sample;
          CheckBackward(backward);
        }
      }
    }
  }
}

TEST_P(KernelAccuracy, TakesGivenStatisticsOfAnyValue) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const GroupGeometry geometry = Geometry(layout(), {1, 7, 10, 7});
  ForwardCase forward = RandomForward(dtype(), geometry);
  forward.mean = {0, 1e35, -0.5, infinity, nan, 0, 0.25};
  forward.rstd = {0, 1e-35, -2, 1, 1, infinity, 1e-40};
  CheckForward(forward);
  BackwardCase backward = RandomBackward(dtype(), geometry);
  backward.mean = forward.mean;
  backward.rstd = forward.rstd;
  CheckBackward(backward);
  backward.frozen_statistics = true;
  CheckBackward(backward);
}

TEST_P(KernelAccuracy, HoldsForWeightsOfAnyScale) {
  const GroupGeometry geometry = Geometry(layout(), {1, 6, 40, 3});
  ForwardCase forward = RandomForward(dtype(), geometry);
  forward.weight = {1e-35, 1, 0, 0, 1e32, -1};
  forward.bias = {0, 1e-3, 2, 0, 1e32, 0};
  CheckForward(forward);
  // Beyond float32 these are infinities.
  forward.bias = {1e300, -1e300, 1e-300, 1e39, 0, 1e-40};
  CheckForward(forward);
  BackwardCase backward = RandomBackward(dtype(), geometry);
  backward.weight = forward.weight;
  CheckBackward(backward);
}

// An infinity is no reason for NaN where the statistics do not come from it,
// whichever low parts their coefficients have.
TEST_P(KernelAccuracy, KeepsInfinitiesWithGivenStatistics) {
  ForwardCase c = RandomForward(dtype(), Geometry(layout(), {1, 6, 4, 3}));
  c.weight = {1, -1, 0.5, 1. / 3, -0.1, 0.7};
  c.mean = {0.5, 0.1, -1};
  c.rstd = {2, 1. / 3, 0.7};
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> x = FromElements(dtype(), c.input);
  for (std::size_t i = 0; i < x.size(); i += 3) {
    x[i] = i % 2 == 0 ? infinity : -infinity;
  }
  c.input = ToElements(dtype(), x);
  CheckForward(c);
}

// The coefficients are those of float32 arithmetic, the results finite.
TEST_P(KernelAccuracy, HoldsWhereOnlyProductsOverflow) {
  const GroupGeometry geometry = Geometry(layout(), {1, 1, 64, 1});
  ForwardCase forward = RandomForward(dtype(), geometry, Normal(0, 0x1p30));
  forward.weight = {0x1p128};
  forward.bias = {-0x1p128};
  CheckForward(forward);
  // Odd in the index, so that the constant of grad_input is 0.
  BackwardCase backward = RandomBackward(dtype(), geometry, Normal(0, 0x1p40));
  std::vector<double> x = FromElements(dtype(), backward.input);
  std::vector<double> dy(x.size());
  for (std::size_t i = 0; i < x.size(); i += 2) {
    x[i + 1] = -x[i];
    dy[i] = (i % 4 == 0 ? 0x1p86 : 0x1.8p85) * x[i];
    dy[i + 1] = -dy[i];
  }
  backward.input = ToElements(dtype(), x);
  backward.grad_output = ToElements(dtype(), dy);
  backward.weight = {0x1p43};
  CheckBackward(backward);
}

TEST_P(KernelAccuracy, ContainsWhatIsNotFinite) {
  constexpr double kBad[] = {std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()};
  for (const double bad : kBad) {
    for (const Extents& extents :
         std::vector<Extents>{{2, 6, 50, 3}, {2, 2, 34000, 1}}) {
      if (extents.spatial > 50 && !std::isnan(bad)) continue;
      const GroupGeometry geometry = Geometry(layout(), extents);
      const std::int64_t spoilt = geometry.num_elements() / 3;
      ForwardCase forward = RandomForward(dtype(), geometry);
      SCOPED_TRACE(Describe(forward));
      std::vector<double> values = FromElements(dtype(), forward.input);
      values[static_cast<std::size_t>(spoilt)] = bad;
      forward.input = ToElements(dtype(), values);
      CheckForward(forward);
      BackwardCase backward = RandomBackward(dtype(), geometry);
      const Bytes good = backward.input;
      backward.input = forward.input;
      CheckBackward(backward);
      backward.input = good;
      values = FromElements(dtype(), backward.grad_output);
      values[static_cast<std::size_t>(spoilt)] = bad;
      backward.grad_output = ToElements(dtype(), values);
      CheckBackward(backward);
    }
  }
}

TEST_P(KernelAccuracy, FoldsManySamples) {
  for (const std::int64_t batch : {64, 65, 130}) {
    BackwardCase c =
        RandomBackward(dtype(), Geometry(layout(), {batch, 6, 20, 2}));
    SCOPED_TRACE(Describe(c));
    CheckBackward(c);
    c.per_sample_gradients = true;
    CheckBackward(c);
  }
}

TEST_P(KernelAccuracy, HoldsWithEveryCombinationOfGradients) {
  BackwardCase c = RandomBackward(dtype(), Geometry(layout(), {2, 2, 30, 1}));
  for (int wanted = 0; wanted < 8; ++wanted) {
    c.want_grad_input = (wanted & 1) != 0;
    c.want_grad_weight = (wanted & 2) != 0;
    c.want_grad_bias = (wanted & 4) != 0;
    CheckBackward(c);
  }
}

// Groups of several blocks, window of samples after window.
TEST(KernelAccuracyOfFloat32, FoldsManyLargeSamples) {
  CheckBackward(RandomBackward(
      DataType::kFloat32, Geometry(Layout::kChannelsFirst, {65, 1, 65537, 1})));
}

class Float64Accuracy : public ::testing::TestWithParam<Layout> {};

INSTANTIATE_TEST_SUITE_P(Layouts, Float64Accuracy,
                         ::testing::ValuesIn(kLayouts));

TEST_P(Float64Accuracy, HoldsAtTheEndsOfTheRange) {
  for (const double scale : {1e150, 1e-150}) {
    for (const double grad_scale : {1., 1e150, 1e-150}) {
      SCOPED_TRACE(scale);
      SCOPED_TRACE(grad_scale);
      const GroupGeometry geometry = Geometry(GetParam(), {2, 6, 100, 3});
      const Distribution sign_and_size = [&](std::int64_t,
                                             std::mt19937_64& random) {
        const double size =
            std::uniform_real_distribution<double>(0.2, 1)(random);
        return std::bernoulli_distribution(0.5)(random) ? size : -size;
      };
      const Distribution x = [&](std::int64_t c, std::mt19937_64& random) {
        return scale * sign_and_size(c, random);
      };
      ForwardCase forward = RandomForward(DataType::kFloat64, geometry, x);
      BackwardCase backward = RandomBackward(DataType::kFloat64, geometry, x);
      std::vector<double> dy =
          FromElements(DataType::kFloat64, backward.grad_output);
      for (double& value : dy) value *= grad_scale;
      backward.grad_output = ToElements(DataType::kFloat64, dy);
      for (const double epsilon : {1e-5, 0.}) {
        forward.epsilon = backward.epsilon = epsilon;
        CheckForward(forward);
        CheckBackward(backward);
      }
    }
  }
}

}  // namespace
}  // namespace groupnorm
