#ifndef GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_RUN_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_RUN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"
#include "groupnorm/tensor_view.h"
#include "kernels/computation.h"
#include "kernels/group_norm.h"
#include "kernels/reference/reference.h"
#include "tensor/group_geometry.h"

namespace groupnorm {

using Bytes = std::vector<std::byte>;

Bytes ToElements(DataType dtype, const std::vector<double>& values);

/// The values as the element type holds them.
std::vector<double> FromElements(DataType dtype, const Bytes& elements);

/// What Forward and Backward share. The tensors hold geometry's elements.
struct KernelInputs {
  GroupGeometry geometry;
  DataType dtype = DataType::kFloat32;
  double epsilon = 1e-5;
  Bytes input;
  std::vector<double> weight;
  std::vector<double> mean;  ///< Empty: not given.
  std::vector<double> rstd;

  bool statistics_given() const { return !mean.empty(); }
  Shape shape() const;
};

struct ForwardCase : KernelInputs {
  std::vector<double> bias;
};

struct BackwardCase : KernelInputs {
  Bytes grad_output;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  bool want_grad_input = true;
  bool want_grad_weight = true;
  bool want_grad_bias = true;
};

struct ForwardResult {
  std::vector<double> mean;
  std::vector<double> rstd;
  Bytes output;
};

/// What was not wanted is empty.
struct BackwardResult {
  Bytes grad_input;
  std::vector<double> grad_weight;
  std::vector<double> grad_bias;
};

/// Runs all phases of a computation.
using Runner = std::function<void(Computation&)>;

/// Runs a kernel as the tests want it: tensors aligned to their elements only,
/// scratch and outputs full of 0xFF bytes, and everything that is written
/// between guards whose damage is a test failure.
ForwardResult RunForward(const ForwardCase& c,
                         const Runner& run = RunComputation);
BackwardResult RunBackward(const BackwardCase& c,
                           const Runner& run = RunComputation);

ForwardProblem ProblemOf(const ForwardCase& c);
BackwardProblem ProblemOf(const BackwardCase& c);

/// Fails the test where a result leaves the reference's bounds.
void ExpectMatchesReference(const ForwardCase& c, const ForwardResult& result);

/// grad_weight and grad_bias are judged as FLOAT64.
void ExpectMatchesReference(const BackwardCase& c,
                            const BackwardResult& result);

/// Both at once.
void CheckForward(const ForwardCase& c);
void CheckBackward(const BackwardCase& c);

/// Whether two arrays hold the same bits, any NaN being the same as another.
bool SameBits(DataType dtype, const Bytes& a, const Bytes& b);
bool SameBits(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_RUN_H_
