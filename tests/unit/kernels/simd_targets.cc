#include "tests/unit/kernels/simd_targets.h"

#include <algorithm>

#include "hwy/targets.h"

namespace groupnorm {

namespace {

// Highway does not tell what was forced; 0: nothing.
std::int64_t forced_targets = 0;

void Force(std::int64_t highway_targets) {
  forced_targets = highway_targets;
  hwy::SetSupportedTargetsForTest(highway_targets);
}

std::int64_t DetectTargets() {
  const std::int64_t forced = forced_targets;
  Force(0);
  const std::int64_t detected = hwy::SupportedTargets();
  Force(forced);
  return detected;
}

}  // namespace

// Highway always has one of its two baselines, depending on the compiler.
const std::array<SimdTargetOfKernels, 3> kSimdTargets = {{
    {.name = "AVX-512", .highway_targets = HWY_AVX3},
    {.name = "AVX2", .highway_targets = HWY_AVX2},
    {.name = "portable", .highway_targets = HWY_SCALAR | HWY_EMU128},
}};

bool IsSupported(const SimdTargetOfKernels& target) {
  static const std::int64_t kDetected = DetectTargets();
  return target.name == kSimdTargets.back().name ||
         (kDetected & target.highway_targets) != 0;
}

ForcedSimdTarget::ForcedSimdTarget(const SimdTargetOfKernels& target)
    : forced_before_(forced_targets) {
  EXPECT_TRUE(IsSupported(target)) << ReasonToSkip(target);
  Force(target.highway_targets);
}

ForcedSimdTarget::~ForcedSimdTarget() { Force(forced_before_); }

void ForEachSupportedSimdTarget(
    absl::FunctionRef<void(const SimdTargetOfKernels&)> run) {
  for (const SimdTargetOfKernels& target : kSimdTargets) {
    if (!IsSupported(target)) continue;
    const ForcedSimdTarget forced(target);
    run(target);
  }
}

std::string TestNameOf(const SimdTargetOfKernels& target) {
  std::string name(target.name);
  name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
  return name;
}

std::string ReasonToSkip(const SimdTargetOfKernels& target) {
  return "this machine lacks " + std::string(target.name);
}

}  // namespace groupnorm
