#ifndef GROUPNORM_BENCH_TWO_THREADS_H_
#define GROUPNORM_BENCH_TWO_THREADS_H_

#include <atomic>
#include <cstdint>
#include <thread>

#include "kernels/computation.h"

namespace groupnorm::bench {

/// Runs computations on the calling thread and on one other, which waits for
/// them by spinning: the two-thread rows measure the kernels, not the wake-ups
/// of a pool.
///
/// Run() may be called by one thread at a time.
class TwoThreads {
 public:
  TwoThreads();   ///< Starts the other thread.
  ~TwoThreads();  ///< Ends it.

  TwoThreads(const TwoThreads&) = delete;
  TwoThreads& operator=(const TwoThreads&) = delete;

  /// Runs every phase and returns when all is done. A phase of one task runs on
  /// the calling thread. Precondition: fewer than 2^32 tasks a phase.
  void Run(Computation& computation);

 private:
  void RunTasksUntilStopped();
  bool RunOneTask();

  // The tasks of the present phase that nobody took yet, below a count of the
  // phases: so taking one fails where the phase has ended in between.
  std::atomic<std::uint64_t> phase_and_open_tasks_{0};
  // What the open tasks belong to. Changes only while none is open.
  std::atomic<Computation*> computation_{nullptr};
  std::atomic<std::int64_t> phase_{0};
  std::atomic<std::int64_t> num_tasks_{0};
  std::atomic<std::int64_t> finished_tasks_{0};
  std::atomic<bool> stopped_{false};
  std::thread other_;  // Last: it uses all of the above.
};

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_TWO_THREADS_H_
