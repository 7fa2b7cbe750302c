#include "client/cli/verify/matrix.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace groupnorm::verify {

namespace {

constexpr std::array kLayouts = {Layout::kChannelsFirst, Layout::kChannelsLast};
constexpr std::array kStatisticsModes = {
    StatisticsMode::kOwn, StatisticsMode::kGiven, StatisticsMode::kFrozen};

// A shape in channels-first order, with the groups that its channels fall into.
struct GroupedShape {
  std::vector<std::int64_t> extents;
  std::int64_t num_groups;
};

// Odd extents and some hundred to some thousand values, so that no vector
// length divides anything, and the whole matrix takes seconds.
const std::array<GroupedShape, 4>& MatrixShapes() {
  static const std::array<GroupedShape, 4> kShapes = {{
      {{5, 231}, 3},
      {{3, 15, 31}, 5},
      {{3, 21, 7, 5}, 7},
      {{3, 9, 5, 3, 7}, 3},
  }};
  return kShapes;
}

// Where the arithmetic changes its shape.
const std::array<GroupedShape, 8>& EdgeShapes() {
  static const std::array<GroupedShape, 8> kShapes = {{
      {{1, 1, 1}, 1},        // One value in all.
      {{3, 7}, 7},           // One value a group.
      {{3, 7, 11}, 1},       // Layer normalization.
      {{3, 7, 11}, 7},       // Instance normalization.
      {{2, 1, 301}, 1},      // One channel.
      {{2, 333, 1, 1}, 37},  // A spatial extent of one.
      {{67, 6, 5}, 3},       // More samples than are folded at once (64).
      {{2, 9, 1, 1, 1, 3, 1, 1, 1, 5, 1, 1, 1, 1, 1, 1}, 3},  // Rank 16.
  }};
  return kShapes;
}

// Groups of several blocks in either layout. The first has channels that span
// blocks themselves, the second many channels a group.
const std::array<GroupedShape, 2>& LargeShapes() {
  static const std::array<GroupedShape, 2> kShapes = {{
      {{2, 3, 271, 247}, 1},
      {{1, 130, 33, 31}, 2},
  }};
  return kShapes;
}

Shape InLayout(std::vector<std::int64_t> extents, Layout layout) {
  if (layout == Layout::kChannelsLast) {
    std::rotate(extents.begin() + 1, extents.begin() + 2, extents.end());
  }
  return *Shape::Create(extents);
}

Cell MakeCell(DataType dtype, Layout layout, const GroupedShape& shape,
              const ValueRange& range) {
  Cell cell;
  cell.dtype = dtype;
  cell.parameter_dtype = dtype;
  cell.layout = layout;
  cell.shape = InLayout(shape.extents, layout);
  cell.num_groups = shape.num_groups;
  cell.range = range;
  return cell;
}

double SmallestNormal(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat64:
      return 0x1p-1022;
    case DataType::kFloat16:
      return 0x1p-14;
    case DataType::kFloat32:
    case DataType::kBfloat16:
      break;
  }
  return 0x1p-126;
}

void AddMatrix(DataType dtype, std::vector<Cell>& cells) {
  for (const ValueRange& range : RangesOf(dtype)) {
    for (const Layout layout : kLayouts) {
      for (const GroupedShape& shape : MatrixShapes()) {
        for (const auto& [weight, bias] :
             {std::pair(true, true), std::pair(true, false),
              std::pair(false, true), std::pair(false, false)}) {
          for (const StatisticsMode statistics : kStatisticsModes) {
            Cell cell = MakeCell(dtype, layout, shape, range);
            cell.has_weight = weight;
            cell.has_bias = bias;
            cell.statistics = statistics;
            cells.push_back(cell);
          }
        }
      }
    }
  }
}

void AddOptions(DataType dtype, std::vector<Cell>& cells) {
  constexpr ValueRange kRange = {
      .name = "mean 30", .mean = 30, .epsilon = 1e-3};
  constexpr int kSubsets = 8;  // The empty one stands for per-sample gradients.
  for (const Layout layout : kLayouts) {
    for (const DataType parameter_dtype : kDataTypes) {
      for (int subset = 0; subset < kSubsets; ++subset) {
        Cell cell = MakeCell(dtype, layout, MatrixShapes()[1], kRange);
        cell.parameter_dtype = parameter_dtype;
        cell.statistics_dtype = parameter_dtype;
        cell.statistics = kStatisticsModes[subset % kStatisticsModes.size()];
        cell.per_sample_gradients = subset == 0;
        cell.want_grad_input = subset == 0 || (subset & 1) != 0;
        cell.want_grad_weight = subset == 0 || (subset & 2) != 0;
        cell.want_grad_bias = subset == 0 || (subset & 4) != 0;
        cells.push_back(cell);
      }
    }
  }
}

void AddEdgeShapes(DataType dtype, std::vector<Cell>& cells) {
  constexpr ValueRange kRange = {.name = "mean 30", .mean = 30};
  for (const Layout layout : kLayouts) {
    for (const GroupedShape& shape : EdgeShapes()) {
      cells.push_back(MakeCell(dtype, layout, shape, kRange));
    }
  }
}

void AddLargeTensors(DataType dtype, std::vector<Cell>& cells) {
  // FLOAT16 could not hold the sums of larger gradients.
  constexpr ValueRange kRange = {
      .name = "mean 1e3", .mean = 1e3, .grad_output_deviation = 0x1p-6};
  for (const Layout layout : kLayouts) {
    for (const GroupedShape& shape : LargeShapes()) {
      for (const StatisticsMode statistics :
           {StatisticsMode::kOwn, StatisticsMode::kGiven}) {
        Cell cell = MakeCell(dtype, layout, shape, kRange);
        cell.statistics = statistics;
        cells.push_back(cell);
      }
    }
  }
}

void AddEndsOfFloat64(std::vector<Cell>& cells) {
  constexpr ValueRange kLargest = {
      .name = "1e150", .deviation = 1e150 / 3, .ordinary = false};
  constexpr ValueRange kSmallest = {.name = "1e-150",
                                    .mean = 2e-150,
                                    .deviation = 1e-150 / 3,
                                    .epsilon = 0,
                                    .ordinary = false};
  for (const ValueRange& range : {kSmallest, kLargest}) {
    for (const Layout layout : kLayouts) {
      for (const StatisticsMode statistics : kStatisticsModes) {
        Cell cell =
            MakeCell(DataType::kFloat64, layout, MatrixShapes()[2], range);
        cell.statistics = statistics;
        cells.push_back(cell);
      }
    }
  }
}

std::string DescribeGradients(const Cell& cell) {
  if (cell.per_sample_gradients) return ", per-sample gradients";
  std::vector<std::string> wanted;
  if (cell.want_grad_input) wanted.emplace_back("grad_input");
  if (cell.want_grad_weight) wanted.emplace_back("grad_weight");
  if (cell.want_grad_bias) wanted.emplace_back("grad_bias");
  if (wanted.size() == 3) return "";
  return absl::StrFormat(", only %s", absl::StrJoin(wanted, " and "));
}

std::string DescribeParameters(const Cell& cell) {
  std::string text =
      absl::StrFormat("%s, %s", cell.has_weight ? "weight" : "no weight",
                      cell.has_bias ? "bias" : "no bias");
  if (cell.parameter_dtype != cell.dtype) {
    absl::StrAppendFormat(&text, " (%s)", DataTypeName(cell.parameter_dtype));
  }
  return text;
}

std::string_view Name(StatisticsMode mode) {
  switch (mode) {
    case StatisticsMode::kOwn:
      return "own";
    case StatisticsMode::kGiven:
      return "given";
    case StatisticsMode::kFrozen:
      break;
  }
  return "frozen";
}

}  // namespace

std::vector<ValueRange> RangesOf(DataType dtype) {
  std::vector<ValueRange> ranges = {
      {.name = "mean 0", .mean = 0},
      {.name = "mean 30", .mean = 30},
      {.name = "mean 1e3", .mean = 1e3},
      {.name = "mean 1e4", .mean = 1e4},
      {.name = "mean 1e6", .mean = 1e6},
      {.name = "1e30", .deviation = 1e30, .ordinary = false},
  };
  ValueRange denormals = {.name = "denormals",
                          .deviation = SmallestNormal(dtype) / 3,
                          .grad_output_deviation = 0x1p-6,
                          .ordinary = false};
  ranges.push_back(denormals);
  denormals.name = "denormals, epsilon 0";
  denormals.epsilon = 0;
  if (dtype == DataType::kFloat64) {
    denormals.reason_not_run =
        "the contract promises FLOAT64 from 1e-150 to 1e150";
  }
  ranges.push_back(denormals);
  return ranges;
}

std::vector<Cell> MatrixCells() {
  std::vector<Cell> cells;
  for (const DataType dtype : kDataTypes) AddMatrix(dtype, cells);
  for (const DataType dtype : kDataTypes) AddOptions(dtype, cells);
  for (const DataType dtype : kDataTypes) AddEdgeShapes(dtype, cells);
  for (const DataType dtype : kDataTypes) AddLargeTensors(dtype, cells);
  AddEndsOfFloat64(cells);
  return cells;
}

std::string Describe(const Cell& cell) {
  return absl::StrFormat(
      "%s channels %s %s, %d %s, %s, %s statistics, epsilon %g%s, %s",
      DataTypeName(cell.dtype),
      cell.layout == Layout::kChannelsFirst ? "first" : "last",
      cell.shape.ToString(), cell.num_groups,
      cell.num_groups == 1 ? "group" : "groups", DescribeParameters(cell),
      Name(cell.statistics), cell.range.epsilon, DescribeGradients(cell),
      cell.range.name);
}

}  // namespace groupnorm::verify
