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
  /// Tensors at multiples of 64 bytes, not just of their elements.
  bool aligned = false;

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

/// Runs a kernel as the tests want it: tensors aligned to their elements only
/// (unless the case wants otherwise), scratch and outputs full of 0xFF bytes,
/// and everything between guards. Writing to them is a test failure; reading
/// them as well under AddressSanitizer.
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

/// Runs the case under every instruction set of this machine: the best must
/// match the reference, the others must give the same bits. Under a sanitizer
/// large cases are not compared with the reference, which is by far the slower
/// part; the test program says at its end how many.
void CheckForward(const ForwardCase& c);
void CheckBackward(const BackwardCase& c);

/// Fails the test where two results of a case differ in any bit.
void ExpectSame(const KernelInputs& c, const ForwardResult& a,
                const ForwardResult& b);
void ExpectSame(const KernelInputs& c, const BackwardResult& a,
                const BackwardResult& b);

/// Whether two arrays hold the same bits, any NaN being the same as another.
bool SameBits(DataType dtype, const Bytes& a, const Bytes& b);
bool SameBits(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_RUN_H_
