// What the kernels ask for and touch: scratch memory, and the inputs of tensors
// without elements.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {
namespace {

TEST(KernelScratch, StaysBelowItsBound) {
  constexpr std::size_t kFixed = 4096;
  for (const Layout layout : kLayouts) {
    for (const Extents& extents : std::vector<Extents>{
             {1, 1, 1, 1},
             {1 << 20, 8, 1, 8},
             {1, 1 << 20, 9, 1 << 20},
             {1, 8192, 9, 8192},
             {2, 8192, 1 << 14, 64},
             {200, 256, 3136, 32},
             {200, 3, 1 << 18, 3},
             {2, 64, 1 << 20, 1},
             {1, 1, 1 << 30, 1},
             {1, std::int64_t{1} << 40, 1, std::int64_t{1} << 40}}) {
      for (const DataType dtype : kDataTypes) {
        const GroupGeometry geometry = Geometry(layout, extents);
        const std::size_t input_bytes =
            static_cast<std::size_t>(geometry.num_elements()) *
            ElementSize(dtype);
        const auto samples =
            static_cast<std::size_t>(std::min<std::int64_t>(64, extents.batch));
        const std::size_t rows =
            samples * static_cast<std::size_t>(extents.channels) * 16;
        for (const bool given : {false, true}) {
          const ForwardProblem forward = {
              .geometry = geometry, .dtype = dtype, .statistics_given = given};
          EXPECT_LE(ForwardScratchBytes(forward), input_bytes / 64 + kFixed);
          for (const bool per_sample : {false, true}) {
            const BackwardProblem backward = {
                .geometry = geometry,
                .dtype = dtype,
                .statistics_given = given,
                .per_sample_gradients = per_sample};
            EXPECT_LE(BackwardScratchBytes(backward),
                      rows + input_bytes / 8 + kFixed);
          }
        }
      }
    }
  }
}

TEST(KernelScratch, IsZeroWhereNothingHasToBeKept) {
  const GroupGeometry geometry =
      Geometry(Layout::kChannelsFirst, {300, 64, 49, 8});
  EXPECT_EQ(ForwardScratchBytes({.geometry = geometry}), 0);
  BackwardProblem backward = {.geometry = geometry};
  backward.want_grad_weight = backward.want_grad_bias = false;
  EXPECT_EQ(BackwardScratchBytes(backward), 0);
}

const std::vector<Extents> kEmpty = {{0, 6, 5, 3}, {2, 6, 0, 3}, {0, 6, 0, 2}};

TEST(EmptyTensors, HaveMeanZeroAndNoRstd) {
  for (const Layout layout : kLayouts) {
    for (const Extents& extents : kEmpty) {
      const ForwardProblem problem = {.geometry = Geometry(layout, extents)};
      EXPECT_EQ(ForwardScratchBytes(problem), 0);
      const auto count =
          static_cast<std::size_t>(extents.batch * extents.num_groups);
      std::vector<double> mean(count, 7);
      std::vector<double> rstd(count, 7);
      const auto computation =
          MakeForward(problem, {.mean = mean.data(), .rstd = rstd.data()});
      RunComputation(*computation);
      for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(mean[i], 0);
        EXPECT_TRUE(std::isnan(rstd[i]));
      }
    }
  }
}

TEST(EmptyTensors, LeaveGivenStatisticsAlone) {
  const ForwardProblem problem = {
      .geometry = Geometry(Layout::kChannelsFirst, {1, 2, 0, 1}),
      .statistics_given = true};
  double mean = 3;
  double rstd = 4;
  const auto computation = MakeForward(problem, {.mean = &mean, .rstd = &rstd});
  RunComputation(*computation);
  EXPECT_EQ(mean, 3);
  EXPECT_EQ(rstd, 4);
}

TEST(EmptyTensors, HaveZeroGradients) {
  for (const Layout layout : kLayouts) {
    for (const Extents& extents : kEmpty) {
      for (const bool per_sample : {false, true}) {
        BackwardProblem problem = {.geometry = Geometry(layout, extents)};
        problem.per_sample_gradients = per_sample;
        EXPECT_EQ(BackwardScratchBytes(problem), 0);
        const auto count = static_cast<std::size_t>(
            (per_sample ? extents.batch : 1) * extents.channels);
        const std::vector<double> zeros(count, 0);
        std::vector<double> grad_weight(count, 7);
        std::vector<double> grad_bias(count, 7);
        const auto computation = MakeBackward(
            problem,
            {.grad_weight = grad_weight.data(), .grad_bias = grad_bias.data()});
        RunComputation(*computation);
        EXPECT_TRUE(SameBits(grad_weight, zeros));
        EXPECT_TRUE(SameBits(grad_bias, zeros));
      }
    }
  }
}

TEST(EmptyTensors, WriteOnlyTheGradientsWanted) {
  BackwardProblem problem = {
      .geometry = Geometry(Layout::kChannelsFirst, {2, 3, 0, 1})};
  problem.want_grad_weight = false;
  std::vector<double> grad_bias(3, 7);
  const auto computation =
      MakeBackward(problem, {.grad_bias = grad_bias.data()});
  RunComputation(*computation);
  EXPECT_TRUE(SameBits(grad_bias, {0, 0, 0}));
}

}  // namespace
}  // namespace groupnorm
