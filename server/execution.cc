#include "server/execution.h"

#include <utility>

namespace groupnorm {

std::int64_t Execution::num_phases() const {
  return static_cast<std::int64_t>(phases_.size());
}

std::int64_t Execution::num_tasks(std::int64_t phase) const {
  const Phase& at = phases_[static_cast<std::size_t>(phase)];
  return at.stage->num_tasks(at.phase);
}

void Execution::RunTask(std::int64_t phase, std::int64_t task) {
  const Phase& at = phases_[static_cast<std::size_t>(phase)];
  at.stage->RunTask(at.phase, task);
}

void Execution::AddStage(std::unique_ptr<Computation> stage) {
  const std::int64_t num_phases = stage->num_phases();
  for (std::int64_t phase = 0; phase < num_phases; ++phase) {
    phases_.push_back({stage.get(), phase});
  }
  stages_.push_back(std::move(stage));
}

}  // namespace groupnorm
