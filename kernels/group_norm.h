#ifndef GROUPNORM_KERNELS_GROUP_NORM_H_
#define GROUPNORM_KERNELS_GROUP_NORM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "groupnorm/dtype.h"
#include "kernels/computation.h"
#include "tensor/group_geometry.h"

namespace groupnorm {

/// What Forward has to compute, without the memory.
struct ForwardProblem {
  GroupGeometry geometry;
  DataType dtype = DataType::kFloat32;  ///< Of input and output.
  double epsilon = 1e-5;                ///< Finite, 0 or more.
  bool statistics_given = false;
};

/// The memory of one Forward. Nothing may overlap. Tensors need the alignment
/// of their element type (64 bytes is faster), scratch needs 64 bytes.
struct ForwardOperands {
  const std::byte* input = nullptr;  ///< As geometry says.
  const double* weight = nullptr;    ///< [channels]; ones where there is none.
  const double* bias = nullptr;      ///< [channels]; zeros where there is none.
  double* mean =
      nullptr;  ///< [batch, num_groups]; read if given, else written.
  double* rstd = nullptr;        ///< Likewise.
  std::byte* output = nullptr;   ///< Like input.
  std::byte* scratch = nullptr;  ///< ForwardScratchBytes().
};

/// Scratch memory in bytes; at most 1/64 of the input's bytes + 4 KiB.
std::size_t ForwardScratchBytes(const ForwardProblem& problem);

/// The computation of one Forward. An input without elements leaves weight,
/// bias, input and output unread and unwritten; its statistics, unless given,
/// become mean 0, rstd NaN. What `operands` points to must outlive the
/// computation.
std::unique_ptr<Computation> MakeForward(const ForwardProblem& problem,
                                         const ForwardOperands& operands);

/// What Backward has to compute, without the memory.
struct BackwardProblem {
  GroupGeometry geometry;
  DataType dtype = DataType::kFloat32;  ///< Of input, grad_output, grad_input.
  double epsilon = 1e-5;                ///< Finite, 0 or more.
  bool statistics_given = false;        ///< Otherwise computed from input.
  bool frozen_statistics = false;       ///< Treat them as constants.
  bool per_sample_gradients = false;
  bool want_grad_input = true;
  bool want_grad_weight = true;
  bool want_grad_bias = true;
};

/// The memory of one Backward; the rules of ForwardOperands. Gradients that are
/// not wanted may be null.
struct BackwardOperands {
  const std::byte* input = nullptr;
  const std::byte* grad_output = nullptr;  ///< Like input.
  const double* weight = nullptr;   ///< [channels]; ones where there is none.
  const double* mean = nullptr;     ///< [batch, num_groups]; null if not given.
  const double* rstd = nullptr;     ///< Likewise.
  std::byte* grad_input = nullptr;  ///< Like input.
  double* grad_weight = nullptr;  ///< [channels], per sample [batch, channels].
  double* grad_bias = nullptr;    ///< Likewise. Rounded to no narrower type.
  std::byte* scratch = nullptr;   ///< BackwardScratchBytes().
};

/// Scratch memory in bytes: for each of at most 64 samples 16 a channel, and at
/// most 1/8 of the input's bytes + 4 KiB beside them.
std::size_t BackwardScratchBytes(const BackwardProblem& problem);

/// The computation of one Backward. An input without elements is not read;
/// grad_weight and grad_bias then become zeros.
std::unique_ptr<Computation> MakeBackward(const BackwardProblem& problem,
                                          const BackwardOperands& operands);

/// The instruction set that the kernels run on here, as GetServerInfo names it.
std::string_view SimdTarget();

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_GROUP_NORM_H_
