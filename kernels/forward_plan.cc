#include "kernels/forward_plan.h"

#include <algorithm>
#include <cstddef>

namespace groupnorm {

namespace {

// Elements of a task. Forward needs no more than some nanoseconds for one.
constexpr std::int64_t kTaskElements = 65536;

}  // namespace

ForwardPlan::ForwardPlan(const ForwardProblem& problem)
    : blocks_(problem.geometry),
      num_groups_(problem.geometry.batch * problem.geometry.num_groups),
      group_runs_(
          num_groups_,
          GroupsPerTask(problem.geometry, kTaskElements,
                        problem.geometry.values_per_group() + kSumOverhead)),
      block_runs_(num_groups_ * blocks_.per_group(),
                  kTaskElements * blocks_.per_group() /
                      problem.geometry.values_per_group()) {
  const auto group_blocks = static_cast<std::size_t>(blocks_.per_group());
  const auto scratch_bytes = static_cast<std::int64_t>(
      sizeof(Normalizer) +
      (problem.statistics_given ? 0 : sizeof(Moments) * group_blocks));
  if (blocks_.per_group() == 1 ||
      !IsSmallScratch(scratch_bytes, problem.geometry.values_per_group(),
                      problem.dtype)) {
    stages_ = {ForwardStage::kWholeGroups};
    return;
  }
  if (!problem.statistics_given) stages_ = {ForwardStage::kBlockMoments};
  stages_.push_back(ForwardStage::kNormalizers);
  stages_.push_back(ForwardStage::kOutput);
}

const Runs& ForwardPlan::runs(std::int64_t phase) const {
  switch (stage(phase)) {
    case ForwardStage::kBlockMoments:
    case ForwardStage::kOutput:
      return block_runs_;
    case ForwardStage::kWholeGroups:
    case ForwardStage::kNormalizers:
      break;
  }
  return group_runs_;
}

ForwardPlan::Scratch ForwardPlan::TakeScratch(ScratchLayout& layout) const {
  return {
      .normalizers = layout.Take<Normalizer>(
          Has(ForwardStage::kNormalizers) ? num_groups_ : 0),
      .moments = layout.Take<Moments>(Has(ForwardStage::kBlockMoments)
                                          ? num_groups_ * blocks_.per_group()
                                          : 0),
  };
}

bool ForwardPlan::Has(ForwardStage stage) const {
  return std::find(stages_.begin(), stages_.end(), stage) != stages_.end();
}

}  // namespace groupnorm
