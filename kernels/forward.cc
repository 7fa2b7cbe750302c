// Forward for one element type and every instruction set. CMake compiles this
// file once for each GROUPNORM_ELEMENT_TYPE, so that no translation unit is
// long.

#include <memory>

#include "kernels/group_norm_of.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/forward.cc"
#include "hwy/foreach_target.h"
#include "kernels/forward-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {
namespace {

std::unique_ptr<Computation> Make(const ForwardProblem& problem,
                                  const ForwardOperands& operands) {
  return std::make_unique<ForwardComputation<GROUPNORM_ELEMENT_TYPE>>(problem,
                                                                      operands);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace groupnorm {
namespace {
HWY_EXPORT(Make);
}

template <>
std::unique_ptr<Computation> MakeForwardOf<GROUPNORM_ELEMENT_TYPE>(
    const ForwardProblem& problem, const ForwardOperands& operands) {
  return HWY_DYNAMIC_DISPATCH(Make)(problem, operands);
}

}  // namespace groupnorm
#endif
