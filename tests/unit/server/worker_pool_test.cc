#include "server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cfenv>
#include <functional>
#include <limits>
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
