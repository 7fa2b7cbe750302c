// Computations that end before their last task.

#include <gtest/gtest.h>

#include <atomic>
#include <new>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/worker_pool.h"
#include "tests/unit/server/test_computation.h"

namespace groupnorm {
namespace {

// Keeps a pool of one running computation busy, so that others wait.
class BusyPool {
 public:
  BusyPool(WorkerPool& pool, ConnectionId connection) {
    pool.Submit({.computation = &running_,
                 .connection = connection,
                 .done = outcome_.Done()});
    entered_.WaitForNotification();
  }

  void Finish() {
    opens_.Notify();
    EXPECT_EQ(outcome_.Await(), absl::OkStatus());
  }

 private:
  absl::Notification entered_, opens_;
  TestComputation running_{{1}, [this](std::int64_t, std::int64_t) {
                             entered_.Notify();
                             opens_.WaitForNotification();
                           }};
  Outcome outcome_;
};

TEST(WorkerPool, EndsCancelledWorkThatWaitsBeforeAnyOtherTask) {
  WorkerPool pool(2, 1);
  const int connection = 0;
  TestComputation waiting({1}, [](std::int64_t, std::int64_t) { FAIL(); });
  std::atomic<bool> cancelled = false;
  Outcome waiting_outcome, late_outcome;
  BusyPool busy(pool, &connection);
  pool.Submit({.computation = &waiting,
               .cancelled = &cancelled,
               .connection = &connection,
               .done = waiting_outcome.Done()});
  cancelled = true;
  pool.EndWaiting(&connection, &cancelled);
  EXPECT_EQ(waiting_outcome.Await(),
            absl::CancelledError("request: cancelled"));
  // One that comes when it is cancelled already does not wait either.
  pool.Submit({.computation = &waiting,
               .cancelled = &cancelled,
               .connection = &connection,
               .done = late_outcome.Done()});
  EXPECT_EQ(late_outcome.Await(), absl::CancelledError("request: cancelled"));
  pool.EndWaiting(&connection, &cancelled);
  busy.Finish();
}

TEST(WorkerPool, NeverComputesWhatExpiredWhileItWaited) {
  WorkerPool pool(1, 1);
  const int connection = 0;
  TestComputation waiting({1}, [](std::int64_t, std::int64_t) { FAIL(); });
  Outcome waiting_outcome;
  BusyPool busy(pool, &connection);
  const absl::Time deadline = absl::Now() + absl::Milliseconds(10);
  pool.Submit({.computation = &waiting,
               .deadline = deadline,
               .connection = &connection,
               .done = waiting_outcome.Done()});
  while (absl::Now() <= deadline) absl::SleepFor(absl::Milliseconds(1));
  busy.Finish();
  EXPECT_EQ(waiting_outcome.Await(),
            absl::DeadlineExceededError(
                "deadline: passed before the request was computed"));
}

TEST(WorkerPool, StopsAComputationThatExpiresAtTheNextTask) {
  WorkerPool pool(1, 1);
  const absl::Time deadline = absl::Now() + absl::Milliseconds(100);
  int tasks_run = 0;
  TestComputation computation({100, 100}, [&](std::int64_t, std::int64_t) {
    if (++tasks_run < 3) return;
    while (absl::Now() <= deadline) absl::SleepFor(absl::Milliseconds(1));
  });
  EXPECT_EQ(RunAndWait(pool, computation, deadline).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LE(tasks_run, 3);  // Fewer on a machine that stood still.
}

TEST(WorkerPool, NeverComputesWhatWasCancelledWhileItWaited) {
  WorkerPool pool(1, 1);
  const std::atomic<bool> cancelled = true;
  TestComputation computation({1}, [](std::int64_t, std::int64_t) { FAIL(); });
  EXPECT_EQ(RunAndWait(pool, computation, absl::InfiniteFuture(), &cancelled),
            absl::CancelledError("request: cancelled"));
}

TEST(WorkerPool, StopsACancelledComputationAtTheNextTask) {
  WorkerPool pool(1, 1);
  std::atomic<bool> cancelled = false;
  int tasks_run = 0;
  TestComputation computation({100, 100}, [&](std::int64_t, std::int64_t) {
    if (++tasks_run == 3) cancelled = true;
  });
  EXPECT_EQ(
      RunAndWait(pool, computation, absl::InfiniteFuture(), &cancelled).code(),
      absl::StatusCode::kCancelled);
  EXPECT_EQ(tasks_run, 3);
}

TEST(WorkerPool, FinishesAStoppedComputationOnceNoTaskRuns) {
  WorkerPool pool(4, 1);
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> cancelled = false;
    std::atomic<int> running = 0;
    TestComputation computation({64}, [&](std::int64_t, std::int64_t task) {
      ++running;
      if (task == 5) {
        cancelled = true;
        cancelled.notify_all();
      } else if (task > 5) {
        // Else all could be over before task 5 gets that far.
        cancelled.wait(false);
      }
      --running;
    });
    EXPECT_EQ(RunAndWait(pool, computation, absl::InfiniteFuture(), &cancelled)
                  .code(),
              absl::StatusCode::kCancelled);
    EXPECT_EQ(running, 0);
  }
}

TEST(WorkerPool, ReportsATaskThatThrowsAndGoesOn) {
  WorkerPool pool(2, 1);
  TestComputation computation({8}, [](std::int64_t, std::int64_t task) {
    if (task == 1) throw std::bad_alloc();
  });
  EXPECT_EQ(RunAndWait(pool, computation),
            absl::ResourceExhaustedError("server: out of memory"));
  TestComputation next({8}, [](std::int64_t, std::int64_t) {});
  EXPECT_EQ(RunAndWait(pool, next), absl::OkStatus());
}

}  // namespace
}  // namespace groupnorm
