// The targets that the kernels are compiled for, and which of them runs.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd_target.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/group_norm.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {
namespace {

std::string_view Name() {
#if HWY_TARGET <= HWY_AVX3
  return "AVX-512";
#elif HWY_TARGET == HWY_AVX2
  return "AVX2";
#else
  return "portable";
#endif
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace groupnorm {
namespace {
HWY_EXPORT(Name);
}

std::string_view SimdTarget() { return HWY_DYNAMIC_DISPATCH(Name)(); }

}  // namespace groupnorm
#endif
