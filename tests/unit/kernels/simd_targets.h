#ifndef GROUPNORM_TESTS_UNIT_KERNELS_SIMD_TARGETS_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_SIMD_TARGETS_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"

/// The instruction sets that the kernels are compiled for, and how a test has
/// them run on one that is not the best of this machine. Not thread-safe: force
/// a target while no other thread computes.
namespace groupnorm {

struct SimdTargetOfKernels {
  std::string_view name;         ///< As SimdTarget() gives it.
  std::int64_t highway_targets;  ///< Highway's bits.

  friend void PrintTo(const SimdTargetOfKernels& target, std::ostream* out) {
    *out << target.name;
  }
};

/// Best first; the last is supported everywhere.
extern const std::array<SimdTargetOfKernels, 3> kSimdTargets;

/// Whether this machine has the target.
bool IsSupported(const SimdTargetOfKernels& target);

/// Makes the kernels run on the target as long as it lives. What was forced
/// before is forced again after it. Precondition: the target is supported.
class ForcedSimdTarget {
 public:
  explicit ForcedSimdTarget(const SimdTargetOfKernels& target);
  ~ForcedSimdTarget();

  ForcedSimdTarget(const ForcedSimdTarget&) = delete;
  ForcedSimdTarget& operator=(const ForcedSimdTarget&) = delete;

 private:
  std::int64_t forced_before_;
};

/// Calls `run` under every target that this machine has, best first.
void ForEachSupportedSimdTarget(
    absl::FunctionRef<void(const SimdTargetOfKernels&)> run);

/// The name without what a test's name cannot hold: "AVX512".
std::string TestNameOf(const SimdTargetOfKernels& target);

/// "this machine lacks AVX-512": what a skipped test says.
std::string ReasonToSkip(const SimdTargetOfKernels& target);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_SIMD_TARGETS_H_
