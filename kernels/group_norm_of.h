#ifndef GROUPNORM_KERNELS_GROUP_NORM_OF_H_
#define GROUPNORM_KERNELS_GROUP_NORM_OF_H_

#include <memory>

#include "kernels/group_norm.h"

/// The kernels of one element type, on the best instruction set of this
/// machine.
namespace groupnorm {

/// Precondition: the tensor has elements, of type T.
template <typename T>
std::unique_ptr<Computation> MakeForwardOf(const ForwardProblem& problem,
                                           const ForwardOperands& operands);

/// Likewise.
template <typename T>
std::unique_ptr<Computation> MakeBackwardOf(const BackwardProblem& problem,
                                            const BackwardOperands& operands);

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_GROUP_NORM_OF_H_
