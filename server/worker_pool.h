#ifndef GROUPNORM_SERVER_WORKER_POOL_H_
#define GROUPNORM_SERVER_WORKER_POOL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <unordered_map>
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
/// The workers take one task at a time, in turn from each connection that has
/// some, and then in turn from each of its running computations. So a large
/// computation uses all workers while it is alone, a small one that comes later
/// does not wait for the end of it, and one connection with many computations
/// does not hold up another: the first task of a connection that had nothing to
/// run starts after the tasks that are running and at most one of each other
/// connection.
///
/// A bounded number of computations is running, since they evict each other
/// from the caches: `max_running`; and beyond that one of each connection that
/// has none, as long as those connections are fewer than `max_running`. The
/// rest waits: connections in turn, the work of one in the order of submission.
///
/// Workers compute in the default floating-point environment, with subnormal
/// numbers kept, whatever the thread that started them had set. Thread-safe.
class WorkerPool {
 public:
  /// When a work ran.
  struct Timing {
    absl::Time first_task = absl::InfiniteFuture();  ///< Began; never: as here.
    absl::Duration longest_task;
  };

  /// One computation to run. What the pointers name must live until `done`
  /// runs.
  struct Work {
    Computation* computation = nullptr;
    absl::Time deadline = absl::InfiniteFuture();
    const std::atomic<bool>* cancelled = nullptr;
    /// Whose work it is.
    ConnectionId connection = nullptr;
    /// Where not null: written before `done` runs.
    Timing* timing = nullptr;
    /// Runs exactly once, on a worker, with no lock held and no task running.
    /// OK: all tasks have run. CANCELLED, DEADLINE_EXCEEDED: stopped before the
    /// next task; where that was the first one, nothing was computed.
    /// RESOURCE_EXHAUSTED: a task ran out of memory. INTERNAL: a task threw
    /// anything else. Must not throw.
    std::function<void(absl::Status)> done;
  };

  /// Starts `workers` threads; both 1 or more.
  WorkerPool(int workers, int max_running);

  /// Ends the threads. Precondition: every submitted work is done.
  ~WorkerPool();

  /// Alone takes memory; where there is none it throws std::bad_alloc, and the
  /// work was not submitted.
  void Submit(Work work);

  /// `*cancelled` was set: work of this connection that waits with it is done
  /// before any other task starts, not only when its turn comes. Does nothing
  /// where no such work waits. Takes time linear in the connection's waiting
  /// work.
  void EndWaiting(ConnectionId connection, const std::atomic<bool>* cancelled);

 private:
  struct Run;
  struct Lane;
  // Entries move between lists and are never copied, so that only Submit()
  // takes memory.
  using Runs = std::list<std::shared_ptr<Run>>;
  using Lanes = std::list<Lane*>;

  // The work of one connection; exists while there is some.
  struct Lane {
    int running = 0;
    // Running, with tasks of their phase to take; the next turn is the front's.
    Runs ready;
    Runs busy;  // Running, all tasks of their phase taken.
    Runs waiting;
    // An entry each, here unless it is in ready_lanes_ and in waiting_lanes_.
    Lanes ready_turn, waiting_turn;
  };
  struct Run {
    Work work;
    Lane* lane = nullptr;
    Runs::iterator entry;  // In the one list that has it.
    Timing timing;
    std::int64_t phase = -1;
    std::int64_t num_tasks = 0;    // Of this phase.
    std::int64_t next_task = 0;    // Of this phase: the first not yet taken.
    std::int64_t tasks_taken = 0;  // Of this phase: taken and not finished.
    bool listed = false;           // In ready.
    absl::Status status;           // Not OK: takes no further task.
  };

  void WorkUntilStopped();
  Lane& LaneOf(ConnectionId connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayStart(const Lane& lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartFirst(Lane& lane, Runs& runs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeReady(Run& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Run> TakeReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeTurn(const std::shared_ptr<Run>& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunNextTask(const std::shared_ptr<Run>& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OpenNextPhase(Run& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(const std::shared_ptr<Run>& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellDone(Run& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeWorkers(std::int64_t tasks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int max_running_;
  absl::Mutex mutex_;
  absl::CondVar work_ready_;
  int idle_workers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_lanes_ ABSL_GUARDED_BY(mutex_) = 0;  // With something running.
  std::unordered_map<ConnectionId, Lane> lanes_ ABSL_GUARDED_BY(mutex_);
  // The lanes with something ready and with something waiting, each once; the
  // next turn is the front's.
  Lanes ready_lanes_ ABSL_GUARDED_BY(mutex_);
  Lanes waiting_lanes_ ABSL_GUARDED_BY(mutex_);
  // Cancelled before they were running; in no lane.
  Runs cancelled_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_WORKER_POOL_H_
