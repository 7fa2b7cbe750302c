#include "kernels/group_norm.h"

#include <limits>
#include <utility>
#include <vector>

#include "kernels/backward_plan.h"
#include "kernels/fill.h"
#include "kernels/forward_plan.h"
#include "kernels/group_norm_of.h"
#include "kernels/partition.h"
#include "tensor/element.h"

namespace groupnorm {

namespace {

template <class Plan, class Problem>
std::size_t ScratchBytes(const Problem& problem) {
  if (problem.geometry.num_elements() == 0) return 0;
  ScratchLayout layout(nullptr);
  Plan(problem).TakeScratch(layout);
  return layout.size_bytes();
}

}  // namespace

std::size_t ForwardScratchBytes(const ForwardProblem& problem) {
  return ScratchBytes<ForwardPlan>(problem);
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
  return VisitElementType(problem.dtype, [&]<typename T>() {
    return MakeForwardOf<T>(problem, operands);
  });
}

std::size_t BackwardScratchBytes(const BackwardProblem& problem) {
  return ScratchBytes<BackwardPlan>(problem);
}

std::unique_ptr<Computation> MakeBackward(const BackwardProblem& problem,
                                          const BackwardOperands& operands) {
  if (problem.geometry.num_elements() == 0) {
    const std::int64_t rows =
        problem.per_sample_gradients ? problem.geometry.batch : 1;
    const std::int64_t count = rows * problem.geometry.channels;
    std::vector<Fill> fills;
    if (problem.want_grad_weight) {
      fills.push_back({operands.grad_weight, count, 0.0});
    }
    if (problem.want_grad_bias) {
      fills.push_back({operands.grad_bias, count, 0.0});
    }
    return std::make_unique<FillComputation>(std::move(fills));
  }
  return VisitElementType(problem.dtype, [&]<typename T>() {
    return MakeBackwardOf<T>(problem, operands);
  });
}

}  // namespace groupnorm
