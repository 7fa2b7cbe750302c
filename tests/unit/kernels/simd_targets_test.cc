// The kernels run on the best instruction set of this machine, or on the one
// that a test forces. Says which targets the other tests leave out here.

#include "tests/unit/kernels/simd_targets.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/group_norm.h"

namespace groupnorm {
namespace {

class SimdTargetOf : public ::testing::TestWithParam<SimdTargetOfKernels> {};

INSTANTIATE_TEST_SUITE_P(Kernels, SimdTargetOf,
                         ::testing::ValuesIn(kSimdTargets),
                         [](const auto& target) {
                           return TestNameOf(target.param);
                         });

TEST_P(SimdTargetOf, IsTheOneForced) {
  if (!IsSupported(GetParam())) GTEST_SKIP() << ReasonToSkip(GetParam());
  const ForcedSimdTarget forced(GetParam());
  EXPECT_EQ(SimdTarget(), GetParam().name);
}

TEST(SimdTargetUnforced, IsTheBestOfThisMachine) {
  const auto* const best =
      std::find_if(kSimdTargets.begin(), kSimdTargets.end(), IsSupported);
  EXPECT_EQ(SimdTarget(), best->name);
  {
    const ForcedSimdTarget forced(kSimdTargets.back());
    EXPECT_EQ(SimdTarget(), "portable");
  }
  EXPECT_EQ(SimdTarget(), best->name);
}

}  // namespace
}  // namespace groupnorm
