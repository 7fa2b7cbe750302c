// How a worker pool runs the tasks of computations.

#include "server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/unit/server/test_computation.h"

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace groupnorm {
namespace {

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
