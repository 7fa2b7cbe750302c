// Groups whose coefficients lie at the ends of what float32 arithmetic takes,
// 2^-100 and 2^100: the results are right on both sides.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {
namespace {

// Just inside, at and just outside of both ends.
std::vector<double> Ends() {
  std::vector<double> ends;
  for (const double end : {0x1p-100, 0x1p100}) {
    for (const double factor :
         {0.5, 1 - 0x1p-24, 1 - 0x1p-53, 1., 1 + 0x1p-52, 1 + 0x1p-23, 2.}) {
      ends.push_back(end * factor);
    }
  }
  return ends;
}

// FLOAT16 holds no results of such weights.
class SingleRange
    : public ::testing::TestWithParam<std::tuple<DataType, Layout>> {
 protected:
  // One group, whose given statistics normalize to values near 1.
  template <typename Case>
  static Case WithStatistics(Case c, double mean, double rstd) {
    c.mean = {mean};
    c.rstd = {rstd};
    return c;
  }

  DataType dtype() const { return std::get<0>(GetParam()); }
  GroupGeometry geometry() const {
    return Geometry(std::get<1>(GetParam()), {1, 3, 37, 1});
  }
};

INSTANTIATE_TEST_SUITE_P(
    All, SingleRange,
    ::testing::Combine(::testing::Values(DataType::kFloat32, DataType::kFloat64,
                                         DataType::kBfloat16),
                       ::testing::ValuesIn(kLayouts)),
    [](const auto& test) {
      return std::string(DataTypeName(std::get<0>(test.param))) +
             (std::get<1>(test.param) == Layout::kChannelsLast
                  ? "ChannelsLast"
                  : "ChannelsFirst");
    });

TEST_P(SingleRange, OfTheProductOfWeightAndRstd) {
  for (const double end : Ends()) {
    SCOPED_TRACE(end);
    for (const double rstd : {1., 0x1p50, 0x1p-50}) {
      const Distribution x = Normal(0, 1 / rstd);
      ForwardCase forward =
          WithStatistics(RandomForward(dtype(), geometry(), x), 0, rstd);
      forward.weight = {1, end / rstd, -end / rstd};
      CheckForward(forward);
      BackwardCase backward =
          WithStatistics(RandomBackward(dtype(), geometry(), x), 0, rstd);
      backward.weight = forward.weight;
      for (const bool frozen : {false, true}) {
        backward.frozen_statistics = frozen;
        CheckBackward(backward);
      }
    }
  }
}

TEST_P(SingleRange, OfRstd) {
  for (const double rstd : Ends()) {
    SCOPED_TRACE(rstd);
    const Distribution x = Normal(0, 1 / rstd);
    CheckForward(
        WithStatistics(RandomForward(dtype(), geometry(), x), 0, rstd));
    CheckBackward(
        WithStatistics(RandomBackward(dtype(), geometry(), x), 0, rstd));
    // Computed, and so only near the end.
    ForwardCase forward = RandomForward(dtype(), geometry(), x);
    forward.epsilon = 0;
    CheckForward(forward);
    BackwardCase backward = RandomBackward(dtype(), geometry(), x);
    backward.epsilon = 0;
    CheckBackward(backward);
  }
}

TEST_P(SingleRange, OfTheMean) {
  for (const double end : Ends()) {
    SCOPED_TRACE(end);
    const Distribution x = Normal(end, end / 16);
    for (const double mean : {end, -end}) {
      CheckForward(
          WithStatistics(RandomForward(dtype(), geometry(), x), mean, 1 / end));
      CheckBackward(WithStatistics(RandomBackward(dtype(), geometry(), x), mean,
                                   1 / end));
    }
  }
}

// The coefficients of x and of the constant in grad_input are some rstd^2 and
// rstd times grad_output's size: each passes its end at another rstd.
TEST_P(SingleRange, OfTheOtherCoefficientsOfGradInput) {
  for (int exponent = 20; exponent <= 60; ++exponent) {
    for (const int sign : {-1, 1}) {
      SCOPED_TRACE(sign * exponent);
      const double rstd = std::ldexp(1.0, sign * exponent);
      BackwardCase backward = WithStatistics(
          RandomBackward(dtype(), geometry(), Normal(0, 1 / rstd)), 0, rstd);
      CheckBackward(backward);
      backward.weight.assign(3, std::ldexp(1.0, sign * 40));
      CheckBackward(backward);
    }
  }
}

}  // namespace
}  // namespace groupnorm
