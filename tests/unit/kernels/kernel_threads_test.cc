// Tasks of a phase at the same time: the bits of one thread, and no data race
// (run under ThreadSanitizer).

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {
namespace {

Runner OnThreads(int num_threads) {
  return [num_threads](Computation& computation) {
    for (std::int64_t phase = 0; phase < computation.num_phases(); ++phase) {
      std::atomic<std::int64_t> next = 0;
      std::vector<std::thread> threads;
      threads.reserve(static_cast<std::size_t>(num_threads));
      for (int i = 0; i < num_threads; ++i) {
        threads.emplace_back([&] {
          for (std::int64_t task = next++; task < computation.num_tasks(phase);
               task = next++) {
            computation.RunTask(phase, task);
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
  };
}

class KernelThreads : public ::testing::TestWithParam<Layout> {};

INSTANTIATE_TEST_SUITE_P(Layouts, KernelThreads, ::testing::ValuesIn(kLayouts));

TEST_P(KernelThreads, AnyNumberGivesTheSameBits) {
  for (const Extents& extents : std::vector<Extents>{{4, 12, 3000, 6},
                                                     {2, 20, 8000, 2},
                                                     {1, 2, 140000, 2},
                                                     {70, 8, 300, 4},
                                                     {2, 300, 150, 300}}) {
    for (const DataType dtype : {DataType::kFloat32, DataType::kBfloat16}) {
      const GroupGeometry geometry = Geometry(GetParam(), extents);
      const ForwardCase forward = RandomForward(dtype, geometry);
      const BackwardCase backward = RandomBackward(dtype, geometry);
      SCOPED_TRACE(Describe(forward));
      const ForwardResult y = RunForward(forward);
      const BackwardResult gradients = RunBackward(backward);
      for (const int num_threads : {1, 2, 8}) {
        const ForwardResult y_then =
            RunForward(forward, OnThreads(num_threads));
        EXPECT_TRUE(SameBits(y.mean, y_then.mean));
        EXPECT_TRUE(SameBits(y.rstd, y_then.rstd));
        EXPECT_TRUE(SameBits(dtype, y.output, y_then.output));
        const BackwardResult then =
            RunBackward(backward, OnThreads(num_threads));
        EXPECT_TRUE(SameBits(dtype, gradients.grad_input, then.grad_input));
        EXPECT_TRUE(SameBits(gradients.grad_weight, then.grad_weight));
        EXPECT_TRUE(SameBits(gradients.grad_bias, then.grad_bias));
      }
    }
  }
}

TEST_P(KernelThreads, LargeTensorsFallIntoTasksForManyWorkers) {
  for (const Extents& extents : std::vector<Extents>{{8, 64, 3136, 8},
                                                     {1, 320, 4096, 32},
                                                     {1, 1, 1 << 20, 1},
                                                     {4096, 256, 1, 8},
                                                     {1, 4096, 256, 4096}}) {
    const GroupGeometry geometry = Geometry(GetParam(), extents);
    ForwardProblem forward;
    forward.geometry = geometry;
    const auto y = MakeForward(forward, {});
    const std::int64_t last = y->num_phases() - 1;
    EXPECT_GE(y->num_tasks(last), 8);
    EXPECT_GE(y->num_tasks(0), 8);
    BackwardProblem backward;
    backward.geometry = geometry;
    EXPECT_GE(MakeBackward(backward, {})->num_tasks(0), 8);
  }
}

}  // namespace
}  // namespace groupnorm
