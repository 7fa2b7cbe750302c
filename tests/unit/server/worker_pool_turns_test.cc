// Whose task a worker takes next, and what waits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/worker_pool.h"
#include "tests/unit/server/test_computation.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;

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

}  // namespace
}  // namespace groupnorm
