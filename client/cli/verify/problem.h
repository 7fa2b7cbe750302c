#ifndef GROUPNORM_CLIENT_CLI_VERIFY_PROBLEM_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_PROBLEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"
#include "groupnorm/tensor_view.h"

namespace groupnorm::verify {

/// A tensor that owns its elements.
struct TensorData {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  std::vector<std::byte> bytes;

  TensorView view() const { return {dtype, shape, bytes.data()}; }
};

/// Given statistics, both [batch, num_groups].
struct StatisticsData {
  TensorData mean;
  TensorData rstd;
};

/// What one Forward and one Backward of the same input are asked: the unit of
/// verification.
struct Problem {
  Layout layout = Layout::kChannelsFirst;
  std::int64_t num_groups = 1;
  double epsilon = 1e-5;
  TensorData input;
  TensorData grad_output;
  std::optional<TensorData> weight;
  std::optional<TensorData> bias;
  /// Given to both directions; without them both compute their own.
  std::optional<StatisticsData> statistics;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  bool want_grad_input = true;
  bool want_grad_weight = true;
  bool want_grad_bias = true;
};

}  // namespace groupnorm::verify

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_PROBLEM_H_
