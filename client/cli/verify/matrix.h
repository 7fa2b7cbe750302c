#ifndef GROUPNORM_CLIENT_CLI_VERIFY_MATRIX_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_MATRIX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"

/// Which requests `groupnorm verify` makes when it is given no files.
namespace groupnorm::verify {

/// Where the statistics of a cell come from.
enum class StatisticsMode {
  kOwn,     ///< Each direction computes them.
  kGiven,   ///< Passed to Forward and Backward, and no function of the input.
  kFrozen,  ///< Passed to both; constants in Backward.
};

/// Where the values of an input lie: mean + deviation * z, with |z| <= 3 of
/// mean 0 and standard deviation 1.
struct ValueRange {
  std::string_view name;
  double mean = 0;
  double deviation = 1;
  double epsilon = 1e-5;
  /// Deviation of grad_output; smaller where rstd is large, so that no gradient
  /// overflows.
  double grad_output_deviation = 1;
  /// Means 0 to 1e6: reported apart from the ends of the number range, whose
  /// absolute errors would hide these.
  bool ordinary = true;
  /// Why no cell of this range is run; empty where cells are.
  std::string_view reason_not_run = {};
};

/// One Forward and one Backward with random values.
struct Cell {
  DataType dtype = DataType::kFloat32;
  Layout layout = Layout::kChannelsFirst;
  Shape shape;  ///< In the order of the layout.
  std::int64_t num_groups = 1;
  bool has_weight = true;
  bool has_bias = true;
  /// Element type of weight and bias; in the options' cells also that of the
  /// statistics, which elsewhere are FLOAT64.
  DataType parameter_dtype = DataType::kFloat32;
  DataType statistics_dtype = DataType::kFloat64;
  StatisticsMode statistics = StatisticsMode::kOwn;
  ValueRange range;
  bool per_sample_gradients = false;
  bool want_grad_input = true;
  bool want_grad_weight = true;
  bool want_grad_bias = true;
};

/// The ranges of the matrix: means 0, 30, 1e3, 1e4 and 1e6, 1e30, and the
/// denormals of `dtype` with the contract's epsilon and with epsilon 0.
std::vector<ValueRange> RangesOf(DataType dtype);

/// Every cell, in the order in which they are run:
///
/// - the matrix: 4 element types x 8 ranges x 2 layouts x ranks 2 to 5 x weight
///   and bias each present or not x 3 kinds of statistics;
/// - options: 4 element types x 2 layouts x 4 element types of the parameters
///   and statistics x (7 subsets of the gradients + per-sample gradients), the
///   kinds of statistics in turn;
/// - shapes at the edge: 4 element types x 2 layouts x 8 shapes, such as one
///   group, one channel a group, one value a group, rank 16, and more samples
///   than are folded at once;
/// - large tensors: 4 element types x 2 layouts x 2 shapes whose groups span
///   several blocks of 65,536 values x own and given statistics;
/// - FLOAT64 at 1e-150 with epsilon 0 and at 1e150, the ends of what the
///   contract promises: 2 layouts x 3 kinds of statistics.
std::vector<Cell> MatrixCells();

/// One line that says everything about a cell but its values, as in "FLOAT32
/// channels first [3, 15, 31], 5 groups, weight, no bias, own statistics,
/// epsilon 1e-05, mean 1e3".
std::string Describe(const Cell& cell);

}  // namespace groupnorm::verify

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_MATRIX_H_
