#ifndef GROUPNORM_KERNELS_COMPUTATION_H_
#define GROUPNORM_KERNELS_COMPUTATION_H_

#include <cstdint>

namespace groupnorm {

/// Arithmetic cut into phases, each of a number of independent tasks.
///
/// The kernels decide on the cut, the caller on who runs it: every task of a
/// phase exactly once, in any order and on any threads, and all of them before
/// the first task of the next phase (with the happens-before order that a mutex
/// gives). The results do not depend on the order, to the bit.
///
/// A task is sized to take between some tens of microseconds and a millisecond,
/// so that a worker may look at other requests and at cancellation between two;
/// docs/math.md, "Phases and scratch memory", names the shapes that exceed it.
class Computation {
 public:
  virtual ~Computation() = default;

  /// 0 or more.
  virtual std::int64_t num_phases() const = 0;

  /// 0 or more, known from the start. Precondition: 0 <= phase < num_phases().
  virtual std::int64_t num_tasks(std::int64_t phase) const = 0;

  /// Runs one task. Does not allocate, does not throw. Distinct tasks of one
  /// phase may run at the same time.
  virtual void RunTask(std::int64_t phase, std::int64_t task) = 0;
};

/// Runs everything on the calling thread.
void RunComputation(Computation& computation);

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_COMPUTATION_H_
