// Which bits must be the same: DESIGN's "reproducible bits", as docs/math.md
// states them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <random>
#include <vector>

#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"
#include "tests/unit/kernels/kernel_variant.h"
#include "tests/unit/kernels/sanitized.h"

namespace groupnorm {
namespace {

// Small groups that share a task, groups of several blocks, a channel of
// several blocks, and groups beyond what small scratch memory allows.
const std::vector<Extents>& SeveralExtents() {
  static const auto* const kExtents = [] {
    auto* const extents =
        new std::vector<Extents>{{3, 6, 20, 3}, {2, 2, 33001, 1}};
    if (kSanitized) {
      std::cout << "left out under the sanitizer: channels of several blocks, "
                   "and groups beyond small scratch memory\n";
    } else {
      extents->push_back({1, 1, 66000, 1});
      extents->push_back({2, 500, 150, 250});
    }
    return extents;
  }();
  return *kExtents;
}

class KernelBits : public KernelVariant {};

INSTANTIATE_TEST_SUITE_P(All, KernelBits, EveryVariant(), VariantName);

template <typename T>
std::vector<T> Slice(const std::vector<T>& all, std::int64_t parts,
                     std::int64_t part) {
  const auto size =
      static_cast<std::ptrdiff_t>(all.size() / static_cast<std::size_t>(parts));
  return {all.begin() + part * size, all.begin() + (part + 1) * size};
}

// The tasks of every phase in an order of their own.
void RunShuffled(Computation& computation) {
  std::mt19937_64 random(7);
  for (std::int64_t phase = 0; phase < computation.num_phases(); ++phase) {
    std::vector<std::int64_t> tasks;
    for (std::int64_t task = 0; task < computation.num_tasks(phase); ++task) {
      tasks.push_back(task);
    }
    std::shuffle(tasks.begin(), tasks.end(), random);
    for (const std::int64_t task : tasks) computation.RunTask(phase, task);
  }
}

void RunReversed(Computation& computation) {
  for (std::int64_t phase = 0; phase < computation.num_phases(); ++phase) {
    for (std::int64_t task = computation.num_tasks(phase); task-- > 0;) {
      computation.RunTask(phase, task);
    }
  }
}

TEST_P(KernelBits, ASampleAloneEqualsItWithinABatch) {
  for (const Extents& extents : SeveralExtents()) {
    const GroupGeometry geometry = Geometry(layout(), extents);
    const ForwardCase forward = RandomForward(dtype(), geometry, Normal(9, 1));
    SCOPED_TRACE(Describe(forward));
    const ForwardResult forward_all = RunForward(forward);
    BackwardCase backward = RandomBackward(dtype(), geometry, Normal(9, 1));
    backward.per_sample_gradients = true;
    const BackwardResult backward_all = RunBackward(backward);
    const std::int64_t batch = extents.batch;
    for (std::int64_t n = 0; n < batch; ++n) {
      ForwardCase one = forward;
      one.geometry.batch = 1;
      one.input = Slice(forward.input, batch, n);
      ExpectSame(
          one, RunForward(one),
          {Slice(forward_all.mean, batch, n), Slice(forward_all.rstd, batch, n),
           Slice(forward_all.output, batch, n)});
      BackwardCase one_backward = backward;
      one_backward.geometry.batch = 1;
      one_backward.input = Slice(backward.input, batch, n);
      one_backward.grad_output = Slice(backward.grad_output, batch, n);
      ExpectSame(one, RunBackward(one_backward),
                 {Slice(backward_all.grad_input, batch, n),
                  Slice(backward_all.grad_weight, batch, n),
                  Slice(backward_all.grad_bias, batch, n)});
    }
  }
}

TEST_P(KernelBits, AnySubsetOfGradientsEqualsAllOfThem) {
  for (const Extents& extents : SeveralExtents()) {
    BackwardCase c = RandomBackward(dtype(), Geometry(layout(), extents));
    SCOPED_TRACE(Describe(c));
    for (const bool per_sample : {false, true}) {
      c.per_sample_gradients = per_sample;
      c.want_grad_input = c.want_grad_weight = c.want_grad_bias = true;
      const BackwardResult all = RunBackward(c);
      for (int wanted = 0; wanted < 7; ++wanted) {
        c.want_grad_input = (wanted & 1) != 0;
        c.want_grad_weight = (wanted & 2) != 0;
        c.want_grad_bias = (wanted & 4) != 0;
        BackwardResult expected = all;
        if (!c.want_grad_input) expected.grad_input.clear();
        if (!c.want_grad_weight) expected.grad_weight.clear();
        if (!c.want_grad_bias) expected.grad_bias.clear();
        ExpectSame(c, RunBackward(c), expected);
      }
    }
  }
}

TEST_P(KernelBits, AnyOrderOfTasksGivesTheSame) {
  for (const Extents& extents : SeveralExtents()) {
    const GroupGeometry geometry = Geometry(layout(), extents);
    const ForwardCase forward = RandomForward(dtype(), geometry);
    const ForwardResult y = RunForward(forward);
    ExpectSame(forward, RunForward(forward, RunShuffled), y);
    ExpectSame(forward, RunForward(forward, RunReversed), y);
    const BackwardCase backward = RandomBackward(dtype(), geometry);
    const BackwardResult gradients = RunBackward(backward);
    ExpectSame(backward, RunBackward(backward, RunShuffled), gradients);
    ExpectSame(backward, RunBackward(backward, RunReversed), gradients);
  }
}

TEST_P(KernelBits, AnyAlignmentGivesTheSame) {
  for (const Extents& extents : SeveralExtents()) {
    const GroupGeometry geometry = Geometry(layout(), extents);
    ForwardCase forward = RandomForward(dtype(), geometry);
    const ForwardResult y = RunForward(forward);
    forward.aligned = true;
    ExpectSame(forward, RunForward(forward), y);
    BackwardCase backward = RandomBackward(dtype(), geometry);
    const BackwardResult gradients = RunBackward(backward);
    backward.aligned = true;
    ExpectSame(backward, RunBackward(backward), gradients);
  }
}

TEST_P(KernelBits, BackwardAloneEqualsBackwardWithForwardsStatistics) {
  for (const Extents& extents : SeveralExtents()) {
    const GroupGeometry geometry = Geometry(layout(), extents);
    for (const double mean : {0., 1e4}) {
      BackwardCase c = RandomBackward(dtype(), geometry, Normal(mean, 1));
      SCOPED_TRACE(Describe(c));
      const BackwardResult alone = RunBackward(c);
      ForwardCase forward = RandomForward(dtype(), geometry);
      forward.input = c.input;
      const ForwardResult statistics = RunForward(forward);
      c.mean = statistics.mean;
      c.rstd = statistics.rstd;
      ExpectSame(c, RunBackward(c), alone);
    }
  }
}

TEST_P(KernelBits, TheFoldOfPerSampleGradientsIsTheirSum) {
  for (const Extents& extents :
       std::vector<Extents>{{130, 6, 20, 2}, {65, 3, 1, 1}, {3, 1, 66000, 1}}) {
    BackwardCase c = RandomBackward(dtype(), Geometry(layout(), extents));
    SCOPED_TRACE(Describe(c));
    const BackwardResult sums = RunBackward(c);
    c.per_sample_gradients = true;
    const BackwardResult rows = RunBackward(c);
    const auto channels = static_cast<std::size_t>(extents.channels);
    std::vector<double> grad_weight(channels, 0.0);
    std::vector<double> grad_bias(channels, 0.0);
    for (std::size_t i = 0; i < rows.grad_weight.size(); ++i) {
      grad_weight[i % channels] += rows.grad_weight[i];
      grad_bias[i % channels] += rows.grad_bias[i];
    }
    ExpectSame(c, sums, {rows.grad_input, grad_weight, grad_bias});
  }
}

// The float32 results that a group in float64 gives are seldom those of one in
// float32, so a group must not decide for its neighbours.
TEST_P(KernelBits, AGroupInFloat64LeavesTheOthersAlone) {
  const GroupGeometry geometry = Geometry(layout(), {1, 4, 300, 2});
  ForwardCase forward = RandomForward(dtype(), geometry);
  BackwardCase backward = RandomBackward(dtype(), geometry);
  const ForwardResult y = RunForward(forward);
  const BackwardResult gradients = RunBackward(backward);
  forward.weight[3] = backward.weight[3] = 1e35;
  const std::vector<double> y_then =
      FromElements(dtype(), RunForward(forward).output);
  const std::vector<double> dx_then =
      FromElements(dtype(), RunBackward(backward).grad_input);
  const std::vector<double> y_before = FromElements(dtype(), y.output);
  const std::vector<double> dx_before =
      FromElements(dtype(), gradients.grad_input);
  for (std::size_t i = 0; i < y_then.size(); ++i) {
    const std::size_t channel =
        layout() == Layout::kChannelsLast ? i % 4 : i / 300;
    if (channel >= 2) continue;
    ASSERT_EQ(y_then[i], y_before[i]) << i;
    ASSERT_EQ(dx_then[i], dx_before[i]) << i;
  }
}

}  // namespace
}  // namespace groupnorm
