#ifndef GROUPNORM_SERVER_WORKER_POOL_H_
#define GROUPNORM_SERVER_WORKER_POOL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/computation.h"
#include "server/connection_id.h"

namespace groupnorm {

/// Fixed threads that run computations, task by task.
///
/// The workers take one task at a time, in turn from each running computation:
/// a large computation uses all workers while it is alone, and a small one that
/// comes later does not wait for the end of it. A bounded number of
/// computations is running; the rest waits in the order of submission.
///
/// Workers compute in the default floating-point environment, with subnormal
/// numbers kept, whatever the thread that started them had set. Thread-safe.
class WorkerPool {
 public:
  /// One computation to run. What the pointers name must live until `done`
  /// runs.
  struct Work {
    Computation* computation = nullptr;
    absl::Time deadline = absl::InfiniteFuture();
    const std::atomic<bool>* cancelled = nullptr;
    /// Whose work it is.
    ConnectionId connection = nullptr;
    /// Runs exactly once, on a worker, with no lock held and no task running.
    /// OK: all tasks have run. CANCELLED, DEADLINE_EXCEEDED: stopped before the
    /// next task; where that was the first one, nothing was computed.
    /// RESOURCE_EXHAUSTED: a task ran out of memory. INTERNAL: a task threw
    /// anything else.
    std::function<void(absl::Status)> done;
  };

  /// Starts `workers` threads that share `max_running` computations; both 1 or
  /// more.
  WorkerPool(int workers, int max_running);

  /// Ends the threads. Precondition: every submitted work is done.
  ~WorkerPool();

  void Submit(Work work);

 private:
  struct Run {
    Work work;
    std::int64_t phase = -1;
    std::int64_t num_tasks = 0;    // Of this phase.
    std::int64_t next_task = 0;    // Of this phase: the first not yet taken.
    std::int64_t tasks_taken = 0;  // Of this phase: taken and not finished.
    bool listed = false;           // In ready_.
    absl::Status status;           // Not OK: takes no further task.
  };

  void WorkUntilStopped();
  void MakeReady(std::shared_ptr<Run> run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunOneTask(const std::shared_ptr<Run>& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OpenNextPhase(const std::shared_ptr<Run>& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(const std::shared_ptr<Run>& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeWorkers(std::int64_t tasks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int max_running_;
  absl::Mutex mutex_;
  absl::CondVar work_ready_;
  int idle_workers_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Running, with tasks of their phase to take; the next turn is the front's.
  std::deque<std::shared_ptr<Run>> ready_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Run>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_WORKER_POOL_H_
