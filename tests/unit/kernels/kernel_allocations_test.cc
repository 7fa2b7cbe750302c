// Tasks ask for no memory, as Computation promises. A program of its own, since
// it replaces operator new.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/testing/allocations.h"
#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"
#include "tests/unit/kernels/simd_targets.h"

namespace groupnorm {
namespace {

void ExpectNoAllocations(Computation& computation) {
  const std::int64_t before = NumAllocations();
  RunComputation(computation);
  EXPECT_EQ(NumAllocations() - before, 0);
}

// Rows of vectors, groups of several blocks or tiles, many narrow groups, more
// channels than fit a small array, several windows of samples.
const std::vector<Extents> kExtents = {{3, 6, 20, 3},      {1, 2, 33001, 1},
                                       {1, 1, 66000, 1},   {1, 500, 150, 250},
                                       {1, 9000, 9, 9000}, {65, 8, 3, 2}};

TEST(KernelAllocations, AreCounted) {
  const std::int64_t before = NumAllocations();
  std::vector<double> one(1);
  one.push_back(2);
  EXPECT_GT(NumAllocations(), before);
}

TEST(KernelAllocations, OfTasksAreNone) {
  ForEachSupportedSimdTarget([](const SimdTargetOfKernels& target) {
    SCOPED_TRACE(std::string(target.name));
    for (const DataType dtype : kDataTypes) {
      for (const Layout layout : kLayouts) {
        for (const Extents& extents : kExtents) {
          const GroupGeometry geometry = Geometry(layout, extents);
          ForwardCase forward = RandomForward(dtype, geometry, Normal(30, 1));
          SCOPED_TRACE(Describe(forward));
          RunForward(forward, ExpectNoAllocations);
          BackwardCase backward =
              RandomBackward(dtype, geometry, Normal(30, 1));
          RunBackward(backward, ExpectNoAllocations);
          // Groups whose coefficients do not fit float32.
          forward.weight.assign(forward.weight.size(), 0x1p110);
          RunForward(forward, ExpectNoAllocations);
          backward.weight = forward.weight;
          backward.per_sample_gradients = true;
          RunBackward(backward, ExpectNoAllocations);
        }
      }
    }
  });
}

}  // namespace
}  // namespace groupnorm
