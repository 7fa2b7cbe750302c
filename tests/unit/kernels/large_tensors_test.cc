// Tensors beyond the caches, whose results the kernels write past them: the
// same bits as those of a small tensor.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/partition.h"
#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"
#include "tests/unit/kernels/kernel_variant.h"
#include "tests/unit/kernels/sanitized.h"
#include "tests/unit/kernels/simd_targets.h"

namespace groupnorm {
namespace {

class LargeTensors : public KernelVariant {
 protected:
  void SetUp() override {
    if (kSanitized && target().name != kSimdTargets[0].name) {
      GTEST_SKIP() << "under the sanitizer only " << kSimdTargets[0].name;
    }
    KernelVariant::SetUp();
  }

  // One sample, whose size is no multiple of a cache line.
  GroupGeometry Sample(const Extents& extents) const {
    return Geometry(layout(), extents);
  }

  // How often it has to be repeated until as many tensors exceed the caches.
  std::int64_t Repeats(const GroupGeometry& sample,
                       std::int64_t tensors) const {
    return kCacheBytes / tensors / TensorBytes(sample, dtype()) + 1;
  }
};

INSTANTIATE_TEST_SUITE_P(All, LargeTensors, EveryVariant(), VariantName);

template <typename T>
std::vector<T> Repeated(const std::vector<T>& values, std::int64_t times) {
  std::vector<T> all;
  all.reserve(values.size() * static_cast<std::size_t>(times));
  for (std::int64_t i = 0; i < times; ++i) {
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// Under a sanitizer only the first two.
std::vector<Extents> Samples() {
  std::vector<Extents> samples = {
      {1, 10, 1001, 5},   // Channels of odd lengths, long enough to overlap.
      {1, 100, 37, 10},   // Short channels, and rows of odd lengths.
      {1, 2, 100003, 1},  // Groups of several blocks.
      {1, 64, 2053, 32},  // Rows of whole cache lines in channels last.
  };
  if (kSanitized) samples.resize(2);
  return samples;
}

TEST_P(LargeTensors, HaveTheOutputOfSmallOnes) {
  for (const Extents& extents : Samples()) {
    ForwardCase c = RandomForward(dtype(), Sample(extents));
    SCOPED_TRACE(Describe(c));
    const ForwardResult alone = RunForward(c);
    const std::int64_t repeats = Repeats(c.geometry, 2);
    c.geometry.batch = repeats;
    c.input = Repeated(c.input, repeats);
    const ForwardResult all = RunForward(c);
    EXPECT_TRUE(SameBits(dtype(), all.output, Repeated(alone.output, repeats)));
    EXPECT_TRUE(SameBits(all.mean, Repeated(alone.mean, repeats)));
    EXPECT_TRUE(SameBits(all.rstd, Repeated(alone.rstd, repeats)));
  }
}

TEST_P(LargeTensors, HaveTheOutputOfSmallOnesForGivenStatistics) {
  for (const Extents& extents : Samples()) {
    ForwardCase c = RandomForward(dtype(), Sample(extents));
    GiveStatistics(c);
    SCOPED_TRACE(Describe(c));
    const ForwardResult alone = RunForward(c);
    const std::int64_t repeats = Repeats(c.geometry, 2);
    c.geometry.batch = repeats;
    c.input = Repeated(c.input, repeats);
    c.mean = Repeated(c.mean, repeats);
    c.rstd = Repeated(c.rstd, repeats);
    EXPECT_TRUE(SameBits(dtype(), RunForward(c).output,
                         Repeated(alone.output, repeats)));
  }
}

TEST_P(LargeTensors, HaveTheGradInputOfSmallOnes) {
  for (const Extents& extents : Samples()) {
    BackwardCase c = RandomBackward(dtype(), Sample(extents));
    c.want_grad_weight = c.want_grad_bias = false;
    SCOPED_TRACE(Describe(c));
    const BackwardResult alone = RunBackward(c);
    const std::int64_t repeats = Repeats(c.geometry, 3);
    c.geometry.batch = repeats;
    c.input = Repeated(c.input, repeats);
    c.grad_output = Repeated(c.grad_output, repeats);
    EXPECT_TRUE(SameBits(dtype(), RunBackward(c).grad_input,
                         Repeated(alone.grad_input, repeats)));
  }
}

}  // namespace
}  // namespace groupnorm
