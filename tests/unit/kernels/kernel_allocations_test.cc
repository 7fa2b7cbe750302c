// Tasks run on workers while others wait for memory: they must not ask for any.
// A program of its own, since it replaces operator new.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"
#include "tests/unit/kernels/simd_targets.h"

namespace {

std::int64_t num_allocations = 0;

void* Allocate(std::size_t size) {
  ++num_allocations;
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* AllocateAligned(std::size_t size, std::align_val_t alignment) {
  ++num_allocations;
  const auto bytes = static_cast<std::size_t>(alignment);
  void* const memory =
      std::aligned_alloc(bytes, (size + bytes - 1) / bytes * bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return Allocate(size); }
void* operator new[](std::size_t size) { return Allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return AllocateAligned(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return AllocateAligned(size, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace groupnorm {
namespace {

void ExpectNoAllocations(Computation& computation) {
  const std::int64_t before = num_allocations;
  RunComputation(computation);
  EXPECT_EQ(num_allocations - before, 0);
}

// Rows of vectors, groups of several blocks or tiles, many narrow groups, more
// channels than fit a small array, several windows of samples.
const std::vector<Extents> kExtents = {{3, 6, 20, 3},      {1, 2, 33001, 1},
                                       {1, 1, 66000, 1},   {1, 500, 150, 250},
                                       {1, 9000, 9, 9000}, {65, 8, 3, 2}};

TEST(KernelAllocations, AreCounted) {
  const std::int64_t before = num_allocations;
  std::vector<double> one(1);
  one.push_back(2);
  EXPECT_GT(num_allocations, before);
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
