#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "kernels/block_moments.h"
#include "kernels/blocks.h"
#include "kernels/fill.h"
#include "kernels/group_norm.h"
#include "kernels/moments.h"
#include "kernels/multiply_add.h"
#include "kernels/partition.h"
#include "kernels/single.h"
#include "tensor/element.h"

namespace groupnorm {

namespace {

// Elements of a task that normalises whole groups.
constexpr std::int64_t kTaskElements = 65536;

// How one (sample, group) is normalised.
struct Normalizer {
  Statistics statistics;
  bool in_single = false;  // In float32 arithmetic.
};

// The order of the phases. Groups of one block take a single phase, so that
// they are normalised while they are in cache; larger ones are cut into blocks.
enum class Stage { kWholeGroups, kBlockMoments, kNormalizers, kOutput };

struct Plan {
  explicit Plan(const ForwardProblem& problem)
      : blocks(problem.geometry),
        num_groups(problem.geometry.batch * problem.geometry.num_groups) {
    const std::int64_t blocks_bytes = static_cast<std::int64_t>(
        sizeof(Normalizer) +
        sizeof(Moments) * static_cast<std::size_t>(blocks.per_group()));
    const std::int64_t group_bytes =
        problem.geometry.values_per_group() *
        static_cast<std::int64_t>(ElementSize(problem.dtype));
    // Narrow groups in channels last may have blocks of a few values.
    constexpr std::int64_t kMinInputToScratch = 64;
    cut = blocks.per_group() > 1 &&
          blocks_bytes <= group_bytes / kMinInputToScratch;
    if (!cut) {
      stages = {Stage::kWholeGroups};
    } else if (problem.statistics_given) {
      stages = {Stage::kNormalizers, Stage::kOutput};
    } else {
      stages = {Stage::kBlockMoments, Stage::kNormalizers, Stage::kOutput};
    }
    // A run of groups in channels last is a run of channels, which should
    // fill cache lines.
    constexpr std::int64_t kMinRunChannels = 16;
    const GroupGeometry& geometry = problem.geometry;
    group_runs =
        Runs(num_groups, std::max(kTaskElements / geometry.values_per_group(),
                                  geometry.layout == Layout::kChannelsLast
                                      ? kMinRunChannels / geometry.group_size()
                                      : 1));
    block_runs = Runs(
        num_groups * blocks.per_group(),
        kTaskElements / (geometry.values_per_group() / blocks.per_group() + 1));
  }

  // Takes the scratch memory that the plan needs.
  void TakeScratch(ScratchLayout& scratch, bool statistics_given) {
    if (!cut) return;
    normalizers = scratch.Take<Normalizer>(num_groups);
    if (statistics_given) return;
    moments = scratch.Take<Moments>(num_groups * blocks.per_group());
  }

  Blocks blocks;
  std::int64_t num_groups;  // Of all samples.
  bool cut = false;
  std::vector<Stage> stages;
  Runs group_runs;
  Runs block_runs;
  Normalizer* normalizers = nullptr;  // [batch, num_groups]
  Moments* moments = nullptr;         // [batch, num_groups, blocks]
};

template <typename T>
class ForwardComputation final : public Computation {
 public:
  ForwardComputation(const ForwardProblem& problem,
                     const ForwardOperands& operands)
      : problem_(problem),
        operands_(operands),
        input_(reinterpret_cast<const T*>(operands.input)),
        output_(reinterpret_cast<T*>(operands.output)),
        plan_(problem) {
    ScratchLayout scratch(operands.scratch);
    plan_.TakeScratch(scratch, problem.statistics_given);
  }

  std::int64_t num_phases() const override {
    return static_cast<std::int64_t>(plan_.stages.size());
  }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return RunsOf(phase).num_tasks();
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    const Runs& runs = RunsOf(phase);
    const std::int64_t per_group = plan_.blocks.per_group();
    for (std::int64_t i = runs.begin(task); i < runs.end(task); ++i) {
      switch (plan_.stages[static_cast<std::size_t>(phase)]) {
        case Stage::kWholeGroups:
          WholeGroup(i);
          break;
        case Stage::kBlockMoments:
          plan_.moments[i] =
              BlockMoments(input_, BlockOf(i / per_group, i % per_group));
          break;
        case Stage::kNormalizers:
          plan_.normalizers[i] =
              problem_.statistics_given
                  ? NormalizerOf(i, GivenStatistics(i))
                  : NormalizerOf(i, MergedStatistics(i, [&](std::int64_t b) {
                                   return plan_.moments[i * per_group + b];
                                 }));
          break;
        case Stage::kOutput:
          NormalizeBlock(plan_.normalizers[i / per_group],
                         BlockOf(i / per_group, i % per_group));
          break;
      }
    }
  }

 private:
  const Runs& RunsOf(std::int64_t phase) const {
    switch (plan_.stages[static_cast<std::size_t>(phase)]) {
      case Stage::kBlockMoments:
      case Stage::kOutput:
        return plan_.block_runs;
      case Stage::kWholeGroups:
      case Stage::kNormalizers:
        break;
    }
    return plan_.group_runs;
  }

  // `i` counts the groups of all samples.
  Block BlockOf(std::int64_t i, std::int64_t index) const {
    const std::int64_t num_groups = problem_.geometry.num_groups;
    return plan_.blocks.OfGroup(i / num_groups, i % num_groups, index);
  }

  void WholeGroup(std::int64_t i) {
    const Normalizer normalizer =
        NormalizerOf(i, problem_.statistics_given
                            ? GivenStatistics(i)
                            : MergedStatistics(i, [&](std::int64_t b) {
                                return BlockMoments(input_, BlockOf(i, b));
                              }));
    for (std::int64_t b = 0; b < plan_.blocks.per_group(); ++b) {
      NormalizeBlock(normalizer, BlockOf(i, b));
    }
  }

  Statistics GivenStatistics(std::int64_t i) const {
    return {operands_.mean[i], 0, operands_.rstd[i]};
  }

  // Merges the moments of the group's blocks, in their order.
  template <typename MomentsOf>
  Statistics MergedStatistics(std::int64_t i, MomentsOf moments_of) const {
    Moments moments = moments_of(0);
    std::int64_t count = BlockOf(i, 0).count();
    for (std::int64_t b = 1; b < plan_.blocks.per_group(); ++b) {
      const std::int64_t block_count = BlockOf(i, b).count();
      moments = Merge(count, moments, block_count, moments_of(b));
      count += block_count;
    }
    const Statistics statistics =
        StatisticsFromMoments(count, moments, problem_.epsilon);
    operands_.mean[i] = statistics.mean;
    operands_.rstd[i] = statistics.rstd;
    return statistics;
  }

  Normalizer NormalizerOf(std::int64_t i, const Statistics& statistics) const {
    bool in_single = !std::is_same_v<T, double> &&
                     IsSingleMean(statistics.mean) &&
                     IsSingleFactor(statistics.rstd);
    const std::int64_t group_size = problem_.geometry.group_size();
    const double* weight =
        operands_.weight + i % problem_.geometry.num_groups * group_size;
    for (std::int64_t c = 0; in_single && c < group_size; ++c) {
      in_single = IsSingleFactorOrZero(statistics.rstd * weight[c]);
    }
    return {statistics, in_single};
  }

  void NormalizeBlock(const Normalizer& normalizer, const Block& block) {
    if constexpr (!std::is_same_v<T, double>) {
      if (normalizer.in_single) {
        NormalizeInSingle(normalizer.statistics, block);
        return;
      }
    }
    NormalizeInDouble(normalizer.statistics, block);
  }

  void NormalizeInSingle(const Statistics& statistics, const Block& block) {
    struct Affine {
      float scale;
      float shift;
    };
    const auto mean_hi = static_cast<float>(statistics.mean);
    const double mean_lo = (statistics.mean - mean_hi) + statistics.mean_lo;
    ForEachElement(
        problem_.geometry, block,
        [&](std::int64_t c) -> Affine {
          const double scale = statistics.rstd * operands_.weight[c];
          return {
              static_cast<float>(scale),
              static_cast<float>(MulAdd(-mean_lo, scale, operands_.bias[c]))};
        },
        [&](const Affine& affine, std::int64_t i) {
          const float d = ToSingle(input_[i]) - mean_hi;
          output_[i] = FromSingle<T>(MulAdd(d, affine.scale, affine.shift));
        });
  }

  void NormalizeInDouble(const Statistics& statistics, const Block& block) {
    struct Affine {
      double weight;
      double bias;
    };
    ForEachElement(
        problem_.geometry, block,
        [&](std::int64_t c) -> Affine {
          return {operands_.weight[c], operands_.bias[c]};
        },
        [&](const Affine& affine, std::int64_t i) {
          const double d =
              (ToDouble(input_[i]) - statistics.mean) - statistics.mean_lo;
          output_[i] = FromDouble<T>(
              MulAdd(d * statistics.rstd, affine.weight, affine.bias));
        });
  }

  ForwardProblem problem_;
  ForwardOperands operands_;
  const T* input_;
  T* output_;
  Plan plan_;
};

}  // namespace

std::size_t ForwardScratchBytes(const ForwardProblem& problem) {
  if (problem.geometry.num_elements() == 0) return 0;
  ScratchLayout scratch(nullptr);
  Plan(problem).TakeScratch(scratch, problem.statistics_given);
  return scratch.size_bytes();
}

std::unique_ptr<Computation> MakeForward(const ForwardProblem& problem,
                                         const ForwardOperands& operands) {
  if (problem.geometry.num_elements() == 0) {
    std::vector<Fill> fills;
    if (!problem.statistics_given) {
      const std::int64_t count =
          problem.geometry.batch * problem.geometry.num_groups;
      fills = {
          {operands.mean, count, 0.0},
          {operands.rstd, count, std::numeric_limits<double>::quiet_NaN()}};
    }
    return std::make_unique<FillComputation>(std::move(fills));
  }
  return VisitElementType(
      problem.dtype, [&]<typename T>() -> std::unique_ptr<Computation> {
        return std::make_unique<ForwardComputation<T>>(problem, operands);
      });
}

}  // namespace groupnorm
