#include "kernels/computation.h"

namespace groupnorm {

void RunComputation(Computation& computation) {
  for (std::int64_t phase = 0; phase < computation.num_phases(); ++phase) {
    for (std::int64_t task = 0; task < computation.num_tasks(phase); ++task) {
      computation.RunTask(phase, task);
    }
  }
}

}  // namespace groupnorm
