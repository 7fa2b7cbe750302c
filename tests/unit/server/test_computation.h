#ifndef GROUPNORM_TESTS_UNIT_SERVER_TEST_COMPUTATION_H_
#define GROUPNORM_TESTS_UNIT_SERVER_TEST_COMPUTATION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "kernels/computation.h"
#include "server/worker_pool.h"

namespace groupnorm {

/// A computation of the given numbers of tasks, each of which calls a function.
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

/// Waits for the end of one submitted work.
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

inline absl::Status RunAndWait(WorkerPool& pool, Computation& computation,
                               absl::Time deadline = absl::InfiniteFuture(),
                               const std::atomic<bool>* cancelled = nullptr) {
  Outcome outcome;
  pool.Submit({.computation = &computation,
               .deadline = deadline,
               .cancelled = cancelled,
               .done = outcome.Done()});
  return outcome.Await();
}

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_SERVER_TEST_COMPUTATION_H_
