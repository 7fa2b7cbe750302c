#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/cli/verify/values.h"
#include "tensor/element.h"

namespace groupnorm::verify {
namespace {

constexpr std::uint64_t kSeed = 7;

std::vector<double> ToDoubles(const TensorData& tensor) {
  std::vector<double> values(
      static_cast<std::size_t>(tensor.shape.num_elements()));
  ElementsToDoubles(tensor.dtype, tensor.bytes.data(), values);
  return values;
}

Cell SmallCell() {
  Cell cell;
  cell.shape = {3, 6, 5};
  cell.num_groups = 3;
  cell.range = {.name = "mean 30", .mean = 30};
  return cell;
}

TEST(VerifyValues, AreBoundedOfMeanZeroAndDeviationOne) {
  RandomValues random(kSeed, 0);
  constexpr int kCount = 100'000;
  double sum = 0;
  double sum_of_squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double value = random.Next();
    ASSERT_LE(std::fabs(value), 3);
    sum += value;
    sum_of_squares += value * value;
  }
  // Five times the standard error of each estimate.
  EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(sum_of_squares / kCount, 1, 5 * 1.5 / std::sqrt(kCount));
}

TEST(VerifyValues, DependOnSeedAndIndexAlone) {
  const Cell cell = SmallCell();
  const auto input = [&](std::uint64_t seed, std::uint64_t index) {
    return MakeProblem(cell, seed, index).input.bytes;
  };
  EXPECT_EQ(input(kSeed, 3), input(kSeed, 3));
  EXPECT_NE(input(kSeed, 3), input(kSeed, 4));
  EXPECT_NE(input(kSeed, 3), input(kSeed + 1, 3));
  EXPECT_NE(input(kSeed, 3), input(kSeed + (std::uint64_t{1} << 32), 3));
}

TEST(VerifyValues, GiveTheTensorsThatTheCellNames) {
  Cell cell = SmallCell();
  cell.layout = Layout::kChannelsLast;
  cell.shape = {3, 5, 6};
  cell.has_bias = false;
  cell.parameter_dtype = DataType::kFloat16;
  cell.statistics_dtype = DataType::kBfloat16;
  cell.statistics = StatisticsMode::kFrozen;
  const Problem problem = MakeProblem(cell, kSeed, 0);
  EXPECT_EQ(problem.input.shape, (Shape{3, 5, 6}));
  EXPECT_EQ(problem.grad_output.shape, problem.input.shape);
  ASSERT_TRUE(problem.weight.has_value());
  EXPECT_EQ(problem.weight->shape, Shape{6});
  EXPECT_EQ(problem.weight->dtype, DataType::kFloat16);
  EXPECT_FALSE(problem.bias.has_value());
  ASSERT_TRUE(problem.statistics.has_value());
  EXPECT_EQ(problem.statistics->mean.shape, (Shape{3, 3}));
  EXPECT_EQ(problem.statistics->rstd.dtype, DataType::kBfloat16);
  EXPECT_TRUE(problem.frozen_statistics);
}

TEST(VerifyValues, GiveStatisticsThatAreNotTheInputsOwn) {
  Cell cell = SmallCell();
  cell.statistics = StatisticsMode::kGiven;
  const Problem problem = MakeProblem(cell, kSeed, 0);
  EXPECT_FALSE(problem.frozen_statistics);
  for (const double mean : ToDoubles(problem.statistics->mean)) {
    EXPECT_NE(mean, 30);
    EXPECT_NEAR(mean, 30, 0.5);
  }
  for (const double rstd : ToDoubles(problem.statistics->rstd)) {
    EXPECT_NE(rstd, 1);
    EXPECT_NEAR(rstd, 1, 0.5);
  }
}

TEST(VerifyValues, SayWhyACellIsNotRun) {
  std::map<std::string, int> not_run;
  std::uint64_t index = 0;
  for (const Cell& cell : MatrixCells()) {
    const Problem problem = MakeProblem(cell, kSeed, index++);
    const std::optional<std::string> reason = ReasonNotRun(cell, problem.input);
    if (!reason.has_value()) continue;
    ++not_run[std::string(DataTypeName(cell.dtype)) + " " +
              std::string(cell.range.name) + ": " + *reason];
  }
  // Each is a range of the matrix, whole: 2 layouts x 4 ranks x 4 x 3.
  EXPECT_EQ(not_run,
            (std::map<std::string, int>{
                {"BFLOAT16 mean 1e4: all values round to 9984", 96},
                {"BFLOAT16 mean 1e6: all values round to 999424", 96},
                {"FLOAT16 mean 1e4: all values round to 10000", 96},
                {"FLOAT16 mean 1e6: FLOAT16 cannot hold the values", 96},
                {"FLOAT16 1e30: FLOAT16 cannot hold the values", 96},
                {"FLOAT64 denormals, epsilon 0: the contract promises FLOAT64 "
                 "from 1e-150 to 1e150",
                 96}}));
}

TEST(VerifyValues, NeverOverflowInAGradOutput) {
  std::uint64_t index = 0;
  for (const Cell& cell : MatrixCells()) {
    const Problem problem = MakeProblem(cell, kSeed, index++);
    for (const double value : ToDoubles(problem.grad_output)) {
      ASSERT_TRUE(std::isfinite(value)) << Describe(cell);
    }
  }
}

}  // namespace
}  // namespace groupnorm::verify
