#ifndef GROUPNORM_KERNELS_REFERENCE_REFERENCE_H_
#define GROUPNORM_KERNELS_REFERENCE_REFERENCE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "groupnorm/dtype.h"
#include "groupnorm/tensor_view.h"
#include "tensor/group_geometry.h"

/// Group normalization written to be obviously right: plain loops in long
/// double, each result beside the error that docs/math.md allows. The
/// specification that the kernels are tested against. Shares no code with them.
///
/// Where long double is wider than double (x86, most 64-bit ARM systems) the
/// values are good to 1e-15 of their typical magnitude, for every finite input.
/// Where it is double, they are as good as float64 sums, and FLOAT64 inputs
/// beyond 1e150 in magnitude overflow.
namespace groupnorm::reference {

/// An output as it should be. `value`, `bound` and `magnitude` are in the
/// row-major order of the output. `magnitude` is the larger of the value's and
/// of its typical one, which the bound is made of; empty: the value's own.
///
/// FLOAT32, FLOAT64: right is |actual - value| <= bound. FLOAT16, BFLOAT16:
/// right is the round-to-nearest-even of some real number within `bound` of
/// `value`. Infinity is right as well where some number within `bound` of
/// `value` rounds to it.
///
/// A value that is not finite has the bound 0 where IEEE 754 says which one it
/// is: right is the same infinity, or any NaN. It has an infinite bound where
/// that depends on the order of the operations (in grad_input and grad_weight,
/// where an infinity but no NaN takes part): right is whatever is not finite.
struct Expected {
  DataType dtype = DataType::kFloat64;
  std::vector<long double> value;
  std::vector<long double> bound;
  std::vector<long double> magnitude = {};
};

struct ForwardInputs {
  GroupGeometry geometry;
  double epsilon = 1e-5;
  TensorView input;
  std::optional<TensorView> weight;  ///< Any element type, [channels].
  std::optional<TensorView> bias;    ///< Likewise.
  std::optional<TensorView> mean;    ///< Any element type, [batch, num_groups].
  std::optional<TensorView> rstd;    ///< Present with mean, or both absent.
};

struct ForwardExpected {
  Expected mean, rstd, output;
};

/// The statistics and the output. mean and rstd: FLOAT64, [batch, num_groups];
/// given ones as they are, with bound 0; NaN for a group with a value that is
/// not finite; mean 0, rstd NaN for a group without values. output: element
/// type and shape of the input.
ForwardExpected Forward(const ForwardInputs& inputs);

struct BackwardInputs {
  GroupGeometry geometry;
  double epsilon = 1e-5;
  TensorView input;
  TensorView grad_output;
  std::optional<TensorView> weight;
  std::optional<TensorView> mean;
  std::optional<TensorView> rstd;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
};

struct BackwardExpected {
  Expected grad_input, grad_weight, grad_bias;
};

/// All gradients, whichever were asked for. grad_input: element type and shape
/// of the input. grad_weight, grad_bias: [channels] in the weight's element
/// type, or the input's where there is no weight; per sample FLOAT64
/// [batch, channels]. They exist without a weight. Takes memory in proportion
/// to the channels even where the input has no elements.
BackwardExpected Backward(const BackwardInputs& inputs);

/// How an output compares with what it should be. The errors are infinite where
/// an element is wrongly finite or not; right ones that are not finite count as
/// 0.
struct Comparison {
  long double max_absolute_error = 0;
  /// Largest error in units in the last place of the magnitude (of the output's
  /// element type).
  long double max_ulp_error = 0;
  /// Largest error over its bound: at most 1 where all is right. For the 16-bit
  /// types 0 where the element is right, infinite where it is not.
  long double max_bound_ratio = 0;
  std::size_t num_wrong = 0;
  /// The first wrong element, where there is one.
  std::size_t first_wrong = 0;

  bool ok() const { return num_wrong == 0; }
};

/// Precondition: `actual.dtype` is expected.dtype, its size that of
/// expected.value.
Comparison Compare(const Expected& expected, const TensorView& actual);

}  // namespace groupnorm::reference

#endif  // GROUPNORM_KERNELS_REFERENCE_REFERENCE_H_
