#include "server/execution.h"

#include <utility>

namespace groupnorm {

std::int64_t Execution::num_phases() const {
  std::int64_t num_phases = 0;
  for (const auto& stage : stages_) num_phases += stage->num_phases();
  return num_phases;
}

std::int64_t Execution::num_tasks(std::int64_t phase) const {
  const Phase at = At(phase);
  return at.stage.num_tasks(at.phase);
}

void Execution::RunTask(std::int64_t phase, std::int64_t task) {
  const Phase at = At(phase);
  at.stage.RunTask(at.phase, task);
}

void Execution::AddStage(std::unique_ptr<Computation> stage) {
  stages_.push_back(std::move(stage));
}

Execution::Phase Execution::At(std::int64_t phase) const {
  auto stage = stages_.begin();
  for (; phase >= (*stage)->num_phases(); ++stage) {
    phase -= (*stage)->num_phases();
  }
  return {**stage, phase};
}

}  // namespace groupnorm
