#ifndef GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_VARIANT_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_VARIANT_H_

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>

#include "groupnorm/dtype.h"
#include "tensor/group_geometry.h"
#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/simd_targets.h"

namespace groupnorm {

using VariantParameters = std::tuple<SimdTargetOfKernels, DataType, Layout>;

/// A test of every kernel there is, on the instruction set that it is for:
/// instantiate it with EveryVariant() and VariantName. Skipped where the
/// machine lacks the instruction set.
class KernelVariant : public ::testing::TestWithParam<VariantParameters> {
 protected:
  void SetUp() override {
    if (!IsSupported(target())) GTEST_SKIP() << ReasonToSkip(target());
    forced_.emplace(target());
  }

  SimdTargetOfKernels target() const { return std::get<0>(GetParam()); }
  DataType dtype() const { return std::get<1>(GetParam()); }
  Layout layout() const { return std::get<2>(GetParam()); }

 private:
  std::optional<ForcedSimdTarget> forced_;
};

inline auto EveryVariant() {
  return ::testing::Combine(::testing::ValuesIn(kSimdTargets),
                            ::testing::ValuesIn(kDataTypes),
                            ::testing::ValuesIn(kLayouts));
}

/// "AVX512FLOAT32ChannelsFirst".
inline std::string VariantName(
    const ::testing::TestParamInfo<VariantParameters>& info) {
  return TestNameOf(std::get<0>(info.param)) +
         std::string(DataTypeName(std::get<1>(info.param))) +
         (std::get<2>(info.param) == Layout::kChannelsLast ? "ChannelsLast"
                                                           : "ChannelsFirst");
}

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_VARIANT_H_
