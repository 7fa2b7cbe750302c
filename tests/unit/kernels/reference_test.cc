#include "kernels/reference/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "groupnorm/shape.h"
#include "tensor/element.h"

namespace groupnorm::reference {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A tensor that owns its elements.
class OwnedTensor {
 public:
  OwnedTensor(DataType dtype, const Shape& shape, std::vector<double> values)
      : dtype_(dtype),
        shape_(shape),
        elements_(values.size() * ElementSize(dtype)) {
    DoublesToElements(dtype, values, elements_.data());
  }

  TensorView view() const { return {dtype_, shape_, elements_.data()}; }

 private:
  DataType dtype_;
  Shape shape_;
  std::vector<std::byte> elements_;
};

OwnedTensor Float64(const Shape& shape, std::vector<double> values) {
  return {DataType::kFloat64, shape, std::move(values)};
}

std::vector<double> AsDoubles(const std::vector<long double>& values) {
  return {values.begin(), values.end()};
}

ForwardExpected ForwardOf(const OwnedTensor& input, std::int64_t num_groups,
                          double epsilon,
                          Layout layout = Layout::kChannelsFirst) {
  ForwardInputs inputs;
  inputs.input = input.view();
  inputs.geometry = GroupGeometry::Of(inputs.input.shape, layout, num_groups);
  inputs.epsilon = epsilon;
  return Forward(inputs);
}

BackwardInputs BackwardInputsOf(const OwnedTensor& input,
                                const OwnedTensor& grad_output,
                                std::int64_t num_groups, double epsilon) {
  BackwardInputs inputs;
  inputs.input = input.view();
  inputs.grad_output = grad_output.view();
  inputs.geometry =
      GroupGeometry::Of(inputs.input.shape, Layout::kChannelsFirst, num_groups);
  inputs.epsilon = epsilon;
  return inputs;
}

// One sample, two groups of two channels with two positions. The groups have
// means 3 and 0, variances 5 and 4.
const std::vector<double> kTwoGroups = {0, 2, 4, 6, -2, 2, -2, 2};

TEST(ReferenceForward, NormalizesEveryGroupByItsOwnStatistics) {
  const OwnedTensor input = Float64({1, 4, 2}, kTwoGroups);
  const ForwardExpected expected = ForwardOf(input, 2, 0);
  EXPECT_THAT(AsDoubles(expected.mean.value), ElementsAre(3, 0));
  EXPECT_THAT(AsDoubles(expected.rstd.value),
              ElementsAre(1 / std::sqrt(5.0L), 0.5));
  const double r = 1 / std::sqrt(5.0L);
  EXPECT_THAT(AsDoubles(expected.output.value),
              ElementsAre(testing::DoubleEq(-3 * r), testing::DoubleEq(-r),
                          testing::DoubleEq(r), testing::DoubleEq(3 * r), -1, 1,
                          -1, 1));
}

TEST(ReferenceForward, AddsEpsilonToTheVariance) {
  const OwnedTensor input = Float64({1, 2, 1}, {1, -1});
  EXPECT_THAT(AsDoubles(ForwardOf(input, 1, 3).output.value),
              ElementsAre(0.5, -0.5));
}

TEST(ReferenceForward, AppliesWeightAndBiasOfTheChannelOfAnyElementType) {
  const OwnedTensor input = Float64({1, 2, 2}, {-1, 1, -1, 1});
  const OwnedTensor weight(DataType::kBfloat16, {2}, {2, -3});
  const OwnedTensor bias(DataType::kFloat16, {2}, {0.5, 10});
  ForwardInputs inputs;
  inputs.input = input.view();
  inputs.geometry =
      GroupGeometry::Of(inputs.input.shape, Layout::kChannelsFirst, 1);
  inputs.epsilon = 0;
  inputs.weight = weight.view();
  inputs.bias = bias.view();
  EXPECT_THAT(AsDoubles(Forward(inputs).output.value),
              ElementsAre(-1.5, 2.5, 13, 7));
}

TEST(ReferenceForward, ReadsTheChannelFromTheLastAxisWhereTheLayoutSaysSo) {
  // The values of kTwoGroups with their two axes swapped.
  const OwnedTensor input = Float64({1, 2, 4}, {0, 4, -2, -2, 2, 6, 2, 2});
  const ForwardExpected expected =
      ForwardOf(input, 2, 0, Layout::kChannelsLast);
  EXPECT_THAT(AsDoubles(expected.mean.value), ElementsAre(3, 0));
  const double r = 1 / std::sqrt(5.0L);
  EXPECT_THAT(
      AsDoubles(expected.output.value),
      ElementsAre(testing::DoubleEq(-3 * r), testing::DoubleEq(r), -1, -1,
                  testing::DoubleEq(-r), testing::DoubleEq(3 * r), 1, 1));
}

TEST(ReferenceForward, UsesGivenStatisticsAsTheyAre) {
  const OwnedTensor input = Float64({1, 2, 2}, {1, 2, 3, 4});
  const OwnedTensor mean(DataType::kFloat32, {1, 2}, {1, -1});
  const OwnedTensor rstd(DataType::kFloat64, {1, 2}, {2, -0.5});
  ForwardInputs inputs;
  inputs.input = input.view();
  inputs.geometry =
      GroupGeometry::Of(inputs.input.shape, Layout::kChannelsFirst, 2);
  inputs.mean = mean.view();
  inputs.rstd = rstd.view();
  const ForwardExpected expected = Forward(inputs);
  EXPECT_THAT(AsDoubles(expected.output.value), ElementsAre(0, 2, -2, -2.5));
  EXPECT_THAT(AsDoubles(expected.mean.value), ElementsAre(1, -1));
  EXPECT_THAT(expected.mean.bound, Each(0));
  EXPECT_THAT(expected.rstd.bound, Each(0));
}

TEST(ReferenceForward, GivesAGroupOfEqualValuesAVarianceOfExactlyZero) {
  // A value and a count at which a sum divided by the count is not the value.
  const OwnedTensor input =
      Float64({1, 1, 4099}, std::vector<double>(4099, 0.1));
  const ForwardExpected expected = ForwardOf(input, 1, 0.25);
  EXPECT_EQ(expected.mean.value[0], 0.1);
  EXPECT_EQ(expected.rstd.value[0], 2);
  EXPECT_THAT(expected.output.value, Each(0));
  const ForwardExpected without_epsilon = ForwardOf(input, 1, 0);
  EXPECT_EQ(without_epsilon.rstd.value[0], kInfinity);
  EXPECT_TRUE(std::isnan(without_epsilon.output.value[0]));
}

TEST(ReferenceForward, IsExactAtMeansFarBeyondTheSpread) {
  // Numbers that float64 holds exactly: 2^52 + {0, 2, 4, 6}.
  const OwnedTensor input =
      Float64({1, 1, 4}, {0x1p52, 0x1p52 + 2, 0x1p52 + 4, 0x1p52 + 6});
  const ForwardExpected expected = ForwardOf(input, 1, 0);
  EXPECT_EQ(expected.mean.value[0], 0x1p52L + 3);
  const double r = 1 / std::sqrt(5.0L);
  EXPECT_THAT(AsDoubles(expected.output.value),
              ElementsAre(testing::DoubleEq(-3 * r), testing::DoubleEq(-r),
                          testing::DoubleEq(r), testing::DoubleEq(3 * r)));
}

TEST(ReferenceForward, StaysExactOverAMillionValues) {
  // 0, 1, 2, ... on top of a large number: variance (n^2 - 1) / 12.
  constexpr std::int64_t kCount = 1 << 20;
  std::vector<double> values;
  for (std::int64_t i = 0; i < kCount; ++i) {
    values.push_back(1e15 + static_cast<double>(i));
  }
  const ForwardExpected expected =
      ForwardOf(Float64({1, 1, kCount}, values), 1, 0);
  const long double half_range = (kCount - 1) / 2.0L;
  const long double rstd =
      1 / std::sqrt((static_cast<long double>(kCount) * kCount - 1) / 12);
  EXPECT_EQ(expected.mean.value[0], 1e15L + half_range);
  EXPECT_NEAR(static_cast<double>(expected.rstd.value[0] / rstd), 1, 1e-16);
  EXPECT_NEAR(static_cast<double>(expected.output.value[0] + half_range * rstd),
              0, 1e-16);
}

TEST(ReferenceForward, KeepsNanAndInfinityInsideTheirGroup) {
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    for (const std::size_t where : {0, 3}) {
      std::vector<double> values = kTwoGroups;
      values[where] = bad;
      const ForwardExpected expected =
          ForwardOf(Float64({1, 4, 2}, values), 2, 0);
      EXPECT_TRUE(std::isnan(expected.mean.value[0]));
      EXPECT_TRUE(std::isnan(expected.rstd.value[0]));
      EXPECT_EQ(expected.mean.value[1], 0);
      for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(std::isnan(expected.output.value[i])) << i;
        EXPECT_EQ(std::fabs(expected.output.value[4 + i]), 1) << i;
      }
    }
  }
}

TEST(ReferenceForward, GivesEmptyGroupsMeanZeroAndRstdNan) {
  const ForwardExpected expected = ForwardOf(Float64({2, 4, 0}, {}), 2, 1e-5);
  EXPECT_THAT(AsDoubles(expected.mean.value), ElementsAre(0, 0, 0, 0));
  ASSERT_EQ(expected.rstd.value.size(), 4);
  for (const long double rstd : expected.rstd.value) {
    EXPECT_TRUE(std::isnan(rstd));
  }
  EXPECT_TRUE(expected.output.value.empty());
  EXPECT_TRUE(ForwardOf(Float64({0, 4, 3}, {}), 2, 1e-5).mean.value.empty());
}

TEST(ReferenceForward, BoundsTheOutputByTheTypicalMagnitudeOfItsGroup) {
  // rms(xhat) is 1 in both groups: 3 ulp of 2 * 1 + 1 for the small outputs.
  const OwnedTensor input(DataType::kFloat32, {1, 1, 4}, {-1, 1, -1, 1});
  const OwnedTensor weight(DataType::kFloat64, {1}, {2});
  const OwnedTensor bias(DataType::kFloat64, {1}, {-1});
  ForwardInputs inputs;
  inputs.input = input.view();
  inputs.geometry =
      GroupGeometry::Of(inputs.input.shape, Layout::kChannelsFirst, 1);
  inputs.epsilon = 0;
  inputs.weight = weight.view();
  inputs.bias = bias.view();
  const ForwardExpected expected = Forward(inputs);
  EXPECT_THAT(AsDoubles(expected.output.value), ElementsAre(-3, 1, -3, 1));
  EXPECT_THAT(expected.output.bound, Each(3 * 0x1p-22L));
  EXPECT_NEAR(static_cast<double>(expected.mean.bound[0]), 1e-12, 1e-25);
  EXPECT_NEAR(static_cast<double>(expected.rstd.bound[0]), 1e-11, 1e-25);
}

// x = {-1, 1}, so xhat = x and rstd = 1; dy = {1, 5}: mean(dy) = 3,
// mean(dy xhat) = 2.
TEST(ReferenceBackward, FollowsTheFormula) {
  const OwnedTensor input = Float64({1, 1, 2}, {-1, 1});
  const OwnedTensor grad_output = Float64({1, 1, 2}, {1, 5});
  const BackwardExpected expected =
      Backward(BackwardInputsOf(input, grad_output, 1, 0));
  EXPECT_THAT(AsDoubles(expected.grad_input.value), ElementsAre(0, 0));
  EXPECT_THAT(AsDoubles(expected.grad_weight.value), ElementsAre(4));
  EXPECT_THAT(AsDoubles(expected.grad_bias.value), ElementsAre(6));

  // With epsilon 3: rstd = 1/2, xhat = x / 2, mean(dy xhat) = 1,
  // dx = (dy - 3 - xhat) / 2.
  const BackwardExpected with_epsilon =
      Backward(BackwardInputsOf(input, grad_output, 1, 3));
  EXPECT_THAT(AsDoubles(with_epsilon.grad_input.value),
              ElementsAre(-0.75, 0.75));
  EXPECT_THAT(AsDoubles(with_epsilon.grad_weight.value), ElementsAre(2));
}

TEST(ReferenceBackward, TreatsFrozenStatisticsAsConstants) {
  const OwnedTensor input = Float64({1, 2, 2}, {kNan, 2, 3, 4});
  const OwnedTensor grad_output = Float64({1, 2, 2}, {1, 2, 3, 4});
  const OwnedTensor weight(DataType::kFloat32, {2}, {3, -1});
  const OwnedTensor mean = Float64({1, 2}, {1, 2});
  const OwnedTensor rstd = Float64({1, 2}, {2, 4});
  BackwardInputs inputs = BackwardInputsOf(input, grad_output, 2, 0);
  inputs.weight = weight.view();
  inputs.mean = mean.view();
  inputs.rstd = rstd.view();
  inputs.frozen_statistics = true;
  const BackwardExpected expected = Backward(inputs);
  EXPECT_THAT(AsDoubles(expected.grad_input.value),
              ElementsAre(6, 12, -12, -16));
  EXPECT_EQ(expected.grad_weight.dtype, DataType::kFloat32);
  EXPECT_TRUE(std::isnan(expected.grad_weight.value[0]));
  EXPECT_EQ(expected.grad_weight.value[1], 3 * 4 + 4 * 8);
}

TEST(ReferenceBackward, SumsOverSamplesUnlessAskedForEachSample) {
  const OwnedTensor input(DataType::kFloat16, {2, 1, 2}, {-1, 1, 1, -1});
  const OwnedTensor grad_output(DataType::kFloat16, {2, 1, 2}, {1, 5, 2, 3});
  BackwardInputs inputs = BackwardInputsOf(input, grad_output, 1, 0);
  const BackwardExpected summed = Backward(inputs);
  EXPECT_EQ(summed.grad_weight.dtype, DataType::kFloat16);
  EXPECT_THAT(AsDoubles(summed.grad_weight.value), ElementsAre(3));
  EXPECT_THAT(AsDoubles(summed.grad_bias.value), ElementsAre(11));
  inputs.per_sample_gradients = true;
  const BackwardExpected rows = Backward(inputs);
  EXPECT_EQ(rows.grad_weight.dtype, DataType::kFloat64);
  EXPECT_THAT(AsDoubles(rows.grad_weight.value), ElementsAre(4, -1));
  EXPECT_THAT(AsDoubles(rows.grad_bias.value), ElementsAre(6, 5));
  // A narrower input whose statistics are computed: 1.1e-11 of sqrt(1 + 25).
  EXPECT_NEAR(static_cast<double>(rows.grad_bias.bound[0]), 1.1e-11 * 6, 1e-22);
}

TEST(ReferenceBackward, GivesEmptyTensorsZeroParameterGradients) {
  const OwnedTensor empty = Float64({2, 3, 0}, {});
  BackwardInputs inputs = BackwardInputsOf(empty, empty, 3, 1e-5);
  EXPECT_THAT(AsDoubles(Backward(inputs).grad_weight.value),
              ElementsAre(0, 0, 0));
  inputs.per_sample_gradients = true;
  EXPECT_THAT(AsDoubles(Backward(inputs).grad_bias.value),
              ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_TRUE(Backward(inputs).grad_input.value.empty());
}

TEST(ReferenceBackward, KeepsNanInsideItsGroupAndItsChannels) {
  std::vector<double> values = kTwoGroups;
  values[1] = kNan;
  const OwnedTensor input = Float64({1, 4, 2}, values);
  const OwnedTensor grad_output = Float64({1, 4, 2}, {1, 2, 3, 4, 5, 6, 7, 9});
  const BackwardExpected expected =
      Backward(BackwardInputsOf(input, grad_output, 2, 1e-5));
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(std::isnan(expected.grad_input.value[i]), i < 4) << i;
    EXPECT_EQ(expected.grad_input.bound[i] == 0, i < 4) << i;
  }
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_EQ(std::isnan(expected.grad_weight.value[c]), c < 2) << c;
    EXPECT_FALSE(std::isnan(expected.grad_bias.value[c])) << c;
  }
}

TEST(ReferenceBackward, LeavesOpenWhatComesOfAnInfiniteGradOutput) {
  const OwnedTensor input = Float64({1, 2, 3}, {1, 2, 4, 1, 2, 4});
  const OwnedTensor grad_output =
      Float64({1, 2, 3}, {1, kInfinity, 2, 1, 2, 3});
  const BackwardExpected expected =
      Backward(BackwardInputsOf(input, grad_output, 2, 1e-5));
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(std::isfinite(expected.grad_input.value[i]), i >= 3) << i;
    EXPECT_EQ(std::isfinite(expected.grad_input.bound[i]), i >= 3) << i;
  }
  EXPECT_EQ(expected.grad_weight.bound[0], kInfinity);
  // A plain sum has only one result.
  EXPECT_EQ(expected.grad_bias.value[0], kInfinity);
  EXPECT_EQ(expected.grad_bias.bound[0], 0);
}

TEST(ReferenceBackward, AllowsForTheRoundingOfAComputedMeanOnly) {
  const OwnedTensor input(DataType::kFloat32, {1, 1, 2}, {1024 - 1, 1024 + 1});
  const OwnedTensor grad_output(DataType::kFloat32, {1, 1, 2}, {1, 5});
  BackwardInputs inputs = BackwardInputsOf(input, grad_output, 1, 0);
  const BackwardExpected computed = Backward(inputs);
  const OwnedTensor mean = Float64({1, 1}, {1024});
  const OwnedTensor rstd = Float64({1, 1}, {1});
  inputs.mean = mean.view();
  inputs.rstd = rstd.view();
  const BackwardExpected given = Backward(inputs);
  const long double d = 0x1p-42;  // 1024 * 1 * 2^-52
  // The three terms' magnitudes of the second value: 5 + 3 + 2.
  EXPECT_EQ(given.grad_input.bound[1], 3 * 0x1p-20L);
  EXPECT_EQ(computed.grad_input.bound[1], 3 * 0x1p-20L + d * 2 * 10);
  EXPECT_EQ(given.grad_weight.bound[0], 3 * 0x1p-21L);
  EXPECT_EQ(computed.grad_weight.bound[0], 3 * 0x1p-21L + d * 6);
  EXPECT_EQ(computed.grad_bias.bound[0], given.grad_bias.bound[0]);
}

}  // namespace
}  // namespace groupnorm::reference
