#include "server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace groupnorm {
namespace {

using ::testing::ElementsAre;

// A computation of the given numbers of tasks, each of which calls a function.
class TestComputation final : public Computation {
 public:
  using Task = std::function<void(std::int64_t phase, std::int64_t task)>;

  TestComputation(std::vector<std::int64_t> num_tasks, Task task)
      : num_tasks_(std::move(num_tasks)), task_(std::move(task)) {}

  std::int64_t num_phases() const override {
    return static_cast<std::int64_t>(num_tasks_.size());
  }
  std::int64_t num_tasks(std::int64_t phase) const override {
    return num_tasks_[static_cast<std::size_t>(phase)];
  }
  void RunTask(std::int64_t phase, std::int64_t task) override {
    task_(phase, task);
  }

 private:
  std::vector<std::int64_t> num_tasks_;
  Task task_;
};

// Waits for the end of one submitted work.
class Outcome {
 public:
  std::function<void(absl::Status)> Done() {
    return [this](absl::Status status) {
      status_ = std::move(status);
      done_.Notify();
    };
  }
  absl::Status Await() {
    done_.WaitForNotification();
    return status_;
  }

 private:
  absl::Notification done_;
  absl::Status status_;
};

absl::Status RunAndWait(WorkerPool& pool, Computation& computation,
                        absl::Time deadline = absl::InfiniteFuture(),
                        const std::atomic<bool>* cancelled = nullptr) {
  Outcome outcome;
  pool.Submit({.computation = &computation,
               .deadline = deadline,
               .cancelled = cancelled,
               .done = outcome.Done()});
  return outcome.Await();
}

TEST(WorkerPool, RunsEveryTaskOnceAndThePhasesInOrder) {
  for (const int workers : {1, 2, 8}) {
    WorkerPool pool(workers, 2);
    const std::vector<std::int64_t> num_tasks = {0, 7, 1, 0, 100, 3, 0};
    std::vector<std::vector<std::atomic<int>>> runs;
    runs.reserve(num_tasks.size());
    for (const std::int64_t count : num_tasks) {
      runs.emplace_back(static_cast<std::size_t>(count));
    }
    std::atomic<std::int64_t> tasks_run = 0;
    std::atomic<bool> in_order = true;
    TestComputation computation(num_tasks, [&](std::int64_t phase,
                                               std::int64_t task) {
      std::int64_t before = 0;
      for (std::int64_t i = 0; i < phase; ++i) {
        before += num_tasks[static_cast<std::size_t>(i)];
      }
      if (tasks_run.load() < before) in_order = false;
      ++runs[static_cast<std::size_t>(phase)][static_cast<std::size_t>(task)];
      ++tasks_run;
    });
    EXPECT_EQ(RunAndWait(pool, computation), absl::OkStatus());
    EXPECT_TRUE(in_order);
    for (const auto& phase : runs) {
      for (const std::atomic<int>& count : phase) EXPECT_EQ(count, 1);
    }
  }
}

TEST(WorkerPool, FinishesAComputationWithoutTasks) {
  WorkerPool pool(1, 1);
  TestComputation none({}, [](std::int64_t, std::int64_t) { FAIL(); });
  TestComputation empty({0, 0}, [](std::int64_t, std::int64_t) { FAIL(); });
  EXPECT_EQ(RunAndWait(pool, none), absl::OkStatus());
  EXPECT_EQ(RunAndWait(pool, empty), absl::OkStatus());
}

TEST(WorkerPool, MakesEachPhaseSeeThePlainWritesOfTheOneBefore) {
  WorkerPool pool(4, 2);
  constexpr std::int64_t kTasks = 64;
  std::vector<int> first(kTasks), second(kTasks);
  TestComputation computation({kTasks, kTasks},
                              [&](std::int64_t phase, std::int64_t task) {
                                const auto at = static_cast<std::size_t>(task);
                                if (phase == 0) {
                                  first[at] = 1;
                                } else {
                                  second[at] = first[first.size() - 1 - at] + 1;
                                }
                              });
  EXPECT_EQ(RunAndWait(pool, computation), absl::OkStatus());
  EXPECT_THAT(second, ::testing::Each(2));
}

TEST(WorkerPool, LetsAllWorkersShareOnePhase) {
  constexpr int kWorkers = 4;
  WorkerPool pool(kWorkers, 1);
  absl::Mutex mutex;
  int arrived = 0;
  // Each task waits for the others: they end only if all run at the same time.
  TestComputation computation({kWorkers}, [&](std::int64_t, std::int64_t) {
    absl::MutexLock lock(&mutex);
    ++arrived;
    mutex.Await(absl::Condition(
        +[](int* count) { return *count == kWorkers; }, &arrived));
  });
  EXPECT_EQ(RunAndWait(pool, computation), absl::OkStatus());
}

TEST(WorkerPool, LetsASmallComputationOvertakeALargeOne) {
  WorkerPool pool(1, 2);
  absl::Notification large_started, small_submitted;
  std::string order;  // One worker: no two tasks run at the same time.
  TestComputation large({100}, [&](std::int64_t, std::int64_t task) {
    if (task == 0) {
      large_started.Notify();
      small_submitted.WaitForNotification();
    }
    order += 'L';
  });
  TestComputation small({1, 1},
                        [&](std::int64_t, std::int64_t) { order += 's'; });
  Outcome large_outcome, small_outcome;
  pool.Submit({.computation = &large, .done = large_outcome.Done()});
  large_started.WaitForNotification();
  pool.Submit({.computation = &small, .done = small_outcome.Done()});
  small_submitted.Notify();
  EXPECT_EQ(large_outcome.Await(), absl::OkStatus());
  EXPECT_EQ(small_outcome.Await(), absl::OkStatus());
  EXPECT_EQ(order.size(), 102u);
  // Its two tasks take every second turn, at the latest.
  EXPECT_LE(order.rfind('s'), 7u) << order;
}

TEST(WorkerPool, StartsWaitingComputationsInTheOrderOfSubmission) {
  WorkerPool pool(1, 1);
  absl::Notification all_submitted;
  std::vector<int> order;
  std::vector<Outcome> outcomes(4);
  std::vector<std::unique_ptr<TestComputation>> computations;
  computations.reserve(outcomes.size());
  for (int i = 0; i < 4; ++i) {
    computations.push_back(std::make_unique<TestComputation>(
        std::vector<std::int64_t>{2}, [&, i](std::int64_t, std::int64_t) {
          all_submitted.WaitForNotification();
          order.push_back(i);
        }));
  }
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    pool.Submit(
        {.computation = computations[i].get(), .done = outcomes[i].Done()});
  }
  all_submitted.Notify();
  for (Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.Await(), absl::OkStatus());
  }
  EXPECT_THAT(order, ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
}

// A pool of one worker, and works that note the order of their tasks. The
// worker is held until everything is submitted.
class WorkerPoolTurns : public ::testing::Test {
 protected:
  explicit WorkerPoolTurns(int max_running = 2) : pool_(1, max_running) {
    pool_.Submit(
        {.computation = &gate_, .connection = "gate", .done = Count()});
    gate_entered_.WaitForNotification();
  }

  void Submit(char name, std::int64_t tasks, ConnectionId connection) {
    computations_.push_back(std::make_unique<TestComputation>(
        std::vector<std::int64_t>{tasks},
        [this, name](std::int64_t, std::int64_t) { order_ += name; }));
    ++submitted_;
    pool_.Submit({.computation = computations_.back().get(),
                  .connection = connection,
                  .done = Count()});
  }

  // The names of all tasks in the order in which they ran.
  std::string Order() {
    gate_opens_.Notify();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &WorkerPoolTurns::AllDone));
    return order_;
  }

 private:
  std::function<void(absl::Status)> Count() {
    return [this](const absl::Status& status) {
      EXPECT_EQ(status, absl::OkStatus());
      absl::MutexLock lock(&mutex_);
      ++done_;
    };
  }
  bool AllDone() const { return done_ == submitted_; }

  absl::Notification gate_entered_, gate_opens_;
  TestComputation gate_{{1}, [this](std::int64_t, std::int64_t) {
                          gate_entered_.Notify();
                          gate_opens_.WaitForNotification();
                        }};
  std::vector<std::unique_ptr<TestComputation>> computations_;
  std::string order_;  // Written by the only worker.
  absl::Mutex mutex_;
  int submitted_ = 1;
  int done_ = 0;
  WorkerPool pool_;
};

TEST_F(WorkerPoolTurns, GoOverConnectionsThenOverTheRequestsOfOne) {
  const char* const flooding = "flooding";
  const char* const light = "light";
  Submit('A', 3, flooding);
  Submit('B', 3, flooding);
  Submit('C', 3, flooding);
  Submit('x', 4, light);
  // A is running beside the gate. When that ends, B starts in its place, and x
  // although two are running again, since its connection has nothing else. C
  // waits until A or B has ended.
  EXPECT_EQ(Order(), "AxBxAxBxABCCC");
}

class WorkerPoolManyTurns : public WorkerPoolTurns {
 protected:
  WorkerPoolManyTurns() : WorkerPoolTurns(3) {}
};

TEST_F(WorkerPoolManyTurns, StartWaitingWorkOfConnectionsInTurn) {
  const std::vector<std::string> connections = {"0", "1", "2", "3", "4"};
  // Connections 0 and 1 run beside the gate; the others' work waits, as does
  // the second work of each.
  for (int i = 0; i < 2; ++i) {
    for (const std::string& connection : connections) {
      Submit(static_cast<char>(connection[0] + i * ('a' - '0')), 1,
             &connection);
    }
  }
  EXPECT_EQ(Order(), "01234abcde");
}

TEST(WorkerPool, BoundsWhatIsRunningWhateverTheConnections) {
  constexpr int kMaxRunning = 2;
  WorkerPool pool(1, kMaxRunning);
  const std::vector<int> connections(20);
  std::atomic<int> begun = 0, ended = 0;
  int most = 0;  // One worker: no two tasks run at the same time.
  absl::Notification all_submitted;
  TestComputation computation({1, 1}, [&](std::int64_t phase, std::int64_t) {
    all_submitted.WaitForNotification();
    if (phase == 0) most = std::max(most, ++begun - ended);
    if (phase == 1) ++ended;
  });
  std::vector<Outcome> outcomes(3 * connections.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    pool.Submit({.computation = &computation,
                 .connection = &connections[i % connections.size()],
                 .done = outcomes[i].Done()});
  }
  all_submitted.Notify();
  for (Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.Await(), absl::OkStatus());
  }
  EXPECT_LE(most, 2 * kMaxRunning - 1);
  EXPECT_GE(most, kMaxRunning);
}

TEST(WorkerPool, EndsCancelledWorkThatWaitsBeforeAnyOtherTask) {
  WorkerPool pool(2, 1);
  const int connection = 0;
  absl::Notification entered, opens;
  TestComputation running({1}, [&](std::int64_t, std::int64_t) {
    entered.Notify();
    opens.WaitForNotification();
  });
  TestComputation waiting({1}, [](std::int64_t, std::int64_t) { FAIL(); });
  std::atomic<bool> cancelled = false;
  Outcome running_outcome, waiting_outcome, late_outcome;
  pool.Submit({.computation = &running,
               .connection = &connection,
               .done = running_outcome.Done()});
  entered.WaitForNotification();
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
  opens.Notify();
  EXPECT_EQ(running_outcome.Await(), absl::OkStatus());
}

TEST(WorkerPool, SaysWhenTheFirstTaskBeganAndHowLongTheLongestTook) {
  WorkerPool pool(1, 1);
  const absl::Time before = absl::Now();
  absl::Time began, ended;
  TestComputation computation({1, 1}, [&](std::int64_t phase, std::int64_t) {
    if (phase == 0) return;
    began = absl::Now();
    while (absl::Now() < began + absl::Milliseconds(1)) {
    }
    ended = absl::Now();
  });
  WorkerPool::Timing timing;
  Outcome outcome;
  pool.Submit(
      {.computation = &computation, .timing = &timing, .done = outcome.Done()});
  EXPECT_EQ(outcome.Await(), absl::OkStatus());
  EXPECT_GE(timing.first_task, before);
  EXPECT_LE(timing.first_task, began);
  EXPECT_GE(timing.longest_task, ended - began);
}

TEST(WorkerPool, NeverComputesWhatExpiredWhileItWaited) {
  WorkerPool pool(1, 1);
  TestComputation computation({1}, [](std::int64_t, std::int64_t) { FAIL(); });
  EXPECT_EQ(RunAndWait(pool, computation, absl::Now() - absl::Seconds(1)),
            absl::DeadlineExceededError(
                "deadline: passed before the request was computed"));
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

TEST(WorkerPool, RunsManyComputationsAtOnce) {
  constexpr int kComputations = 200;
  WorkerPool pool(4, 6);
  std::atomic<int> tasks_run = 0;
  std::vector<Outcome> outcomes(kComputations);
  TestComputation computation({3, 1, 5},
                              [&](std::int64_t, std::int64_t) { ++tasks_run; });
  for (Outcome& outcome : outcomes) {
    pool.Submit({.computation = &computation, .done = outcome.Done()});
  }
  for (Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.Await(), absl::OkStatus());
  }
  EXPECT_EQ(tasks_run, 9 * kComputations);
}

#ifdef __x86_64__
TEST(WorkerPool, KeepsSubnormalNumbersWhateverItsCreatorDoes) {
  constexpr unsigned kFlushToZero = 0x8000, kSubnormalsAreZeros = 0x0040;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlushToZero | kSubnormalsAreZeros);
  WorkerPool pool(1, 1);
  _mm_setcsr(before);
  volatile double smallest = std::numeric_limits<double>::min();
  double half = 0, twice = 0;
  TestComputation computation({1}, [&](std::int64_t, std::int64_t) {
    volatile double subnormal = smallest / 2;
    half = subnormal;
    twice = subnormal * 2;
  });
  EXPECT_EQ(RunAndWait(pool, computation), absl::OkStatus());
  EXPECT_EQ(half, 0x1p-1023);
  EXPECT_EQ(twice, 0x1p-1022);
}
#endif

}  // namespace
}  // namespace groupnorm
