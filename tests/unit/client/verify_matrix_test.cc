#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "client/cli/verify/matrix.h"

namespace groupnorm::verify {
namespace {

using ::testing::Each;

// The cells of the cross product come first.
constexpr std::size_t kMatrixCells = std::size_t{4} * 8 * 2 * 4 * 4 * 3;

TEST(VerifyMatrix, HasAnExactNumberOfCells) {
  constexpr std::size_t kOptions = std::size_t{4} * 2 * 4 * 8;
  constexpr std::size_t kEdgeShapes = std::size_t{4} * 2 * 8;
  constexpr std::size_t kLargeTensors = std::size_t{4} * 2 * 2 * 2;
  constexpr std::size_t kEndsOfFloat64 = std::size_t{2} * 2 * 3;
  EXPECT_EQ(MatrixCells().size(), kMatrixCells + kOptions + kEdgeShapes +
                                      kLargeTensors + kEndsOfFloat64);
  EXPECT_EQ(MatrixCells().size(), 3436U);
}

TEST(VerifyMatrix, CrossesEveryChoiceWithEveryOther) {
  using Choice = std::tuple<DataType, std::string, Layout, int, bool, bool,
                            StatisticsMode>;
  std::set<Choice> choices;
  const std::vector<Cell> cells = MatrixCells();
  for (std::size_t i = 0; i < kMatrixCells; ++i) {
    const Cell& cell = cells[i];
    choices.emplace(cell.dtype, cell.range.name, cell.layout, cell.shape.rank(),
                    cell.has_weight, cell.has_bias, cell.statistics);
  }
  EXPECT_EQ(choices.size(), kMatrixCells);
  std::set<int> ranks;
  for (const Choice& choice : choices) ranks.insert(std::get<3>(choice));
  EXPECT_EQ(ranks, (std::set<int>{2, 3, 4, 5}));
}

TEST(VerifyMatrix, HasTheMeansOfTheContract) {
  std::vector<double> means;
  for (const ValueRange& range : RangesOf(DataType::kFloat32)) {
    if (!range.ordinary) continue;
    means.push_back(range.mean);
    EXPECT_EQ(range.deviation, 1);
  }
  EXPECT_EQ(means, (std::vector<double>{0, 30, 1e3, 1e4, 1e6}));
}

TEST(VerifyMatrix, TakesDenormalsOfTheElementType) {
  const std::map<DataType, double> smallest_normal = {
      {DataType::kFloat32, 0x1p-126},
      {DataType::kFloat64, 0x1p-1022},
      {DataType::kFloat16, 0x1p-14},
      {DataType::kBfloat16, 0x1p-126}};
  for (const auto& [dtype, smallest] : smallest_normal) {
    int num_denormal = 0;
    for (const ValueRange& range : RangesOf(dtype)) {
      if (!range.name.starts_with("denormals")) continue;
      EXPECT_LE(3 * range.deviation, smallest);
      ++num_denormal;
    }
    EXPECT_EQ(num_denormal, 2);
  }
}

TEST(VerifyMatrix, DescribesNoTwoCellsAlike) {
  std::set<std::string> descriptions;
  const std::vector<Cell> cells = MatrixCells();
  for (const Cell& cell : cells) descriptions.insert(Describe(cell));
  EXPECT_EQ(descriptions.size(), cells.size());
}

TEST(VerifyMatrix, KeepsChannelsDivisibleByGroupsInBothLayouts) {
  std::vector<std::int64_t> remainders;
  for (const Cell& cell : MatrixCells()) {
    const int axis =
        cell.layout == Layout::kChannelsLast ? cell.shape.rank() - 1 : 1;
    remainders.push_back(cell.shape.extent(axis) % cell.num_groups);
  }
  EXPECT_THAT(remainders, Each(0));
}

TEST(VerifyMatrix, AsksForEverySubsetOfTheGradients) {
  std::set<std::tuple<bool, bool, bool, bool>> subsets;
  for (const Cell& cell : MatrixCells()) {
    subsets.emplace(cell.per_sample_gradients, cell.want_grad_input,
                    cell.want_grad_weight, cell.want_grad_bias);
  }
  // Seven subsets that are not empty, and all of them per sample.
  EXPECT_EQ(subsets.size(), 8U);
}

TEST(VerifyMatrix, DescribesACell) {
  Cell cell;
  cell.dtype = DataType::kBfloat16;
  cell.layout = Layout::kChannelsLast;
  cell.shape = {3, 31, 15};
  cell.num_groups = 5;
  cell.has_bias = false;
  cell.parameter_dtype = DataType::kFloat16;
  cell.statistics = StatisticsMode::kFrozen;
  cell.range = {.name = "mean 30", .mean = 30};
  cell.want_grad_weight = false;
  EXPECT_EQ(Describe(cell),
            "BFLOAT16 channels last [3, 31, 15], 5 groups, weight, no bias "
            "(FLOAT16), frozen statistics, epsilon 1e-05, only grad_input and "
            "grad_bias, mean 30");
}

}  // namespace
}  // namespace groupnorm::verify
