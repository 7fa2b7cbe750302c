#include "server/worker_pool.h"

#include <algorithm>
#include <cfenv>
#include <utility>

#include "absl/time/clock.h"
#include "server/guarded.h"

namespace groupnorm {
namespace {

// Why no further task of this work should start; OK if it should.
absl::Status StopReason(const WorkerPool::Work& work) {
  if (work.cancelled != nullptr && work.cancelled->load()) {
    return absl::CancelledError("request: cancelled");
  }
  if (work.deadline <= absl::Now()) {
    return absl::DeadlineExceededError(
        "deadline: passed before the request was computed");
  }
  return absl::OkStatus();
}

}  // namespace

WorkerPool::WorkerPool(int workers, int max_running)
    : max_running_(max_running) {
  threads_.reserve(static_cast<std::size_t>(workers));
  for (int i = 0; i < workers; ++i) {
    threads_.emplace_back([this] { WorkUntilStopped(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    work_ready_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Submit(Work work) {
  auto run = std::make_shared<Run>();
  run->work = std::move(work);
  absl::MutexLock lock(&mutex_);
  if (running_ < max_running_) {
    // Phase -1 has no task: the worker that takes it opens phase 0.
    ++running_;
    MakeReady(std::move(run));
    WakeWorkers(1);
  } else {
    waiting_.push_back(std::move(run));
  }
}

void WorkerPool::WorkUntilStopped() {
  // Threads inherit the environment of their creator, which may flush
  // subnormal numbers to zero; the results must not depend on that.
  std::fesetenv(FE_DFL_ENV);
  absl::MutexLock lock(&mutex_);
  while (true) {
    while (ready_.empty() && !stopping_) {
      ++idle_workers_;
      work_ready_.Wait(&mutex_);
      --idle_workers_;
    }
    if (ready_.empty()) return;
    const std::shared_ptr<Run> run = std::move(ready_.front());
    ready_.pop_front();
    run->listed = false;
    RunOneTask(run);
  }
}

void WorkerPool::MakeReady(std::shared_ptr<Run> run) {
  run->listed = true;
  ready_.push_back(std::move(run));
}

void WorkerPool::RunOneTask(const std::shared_ptr<Run>& run) {
  if (run->status.ok()) run->status = StopReason(run->work);
  if (run->status.ok() && run->next_task < run->num_tasks) {
    const std::int64_t phase = run->phase;
    const std::int64_t task = run->next_task++;
    ++run->tasks_taken;
    if (run->next_task < run->num_tasks) MakeReady(run);
    mutex_.Unlock();
    absl::Status status = RunGuarded([&] {
      run->work.computation->RunTask(phase, task);
      return absl::OkStatus();
    });
    mutex_.Lock();
    --run->tasks_taken;
    run->status.Update(std::move(status));
  }
  // The last one out of a phase goes on. While the run still is in ready_,
  // whoever takes it from there comes past here again.
  const bool phase_over = run->next_task == run->num_tasks || !run->status.ok();
  if (!phase_over || run->tasks_taken > 0 || run->listed) return;
  if (run->status.ok()) {
    OpenNextPhase(run);
  } else {
    Finish(run);
  }
}

void WorkerPool::OpenNextPhase(const std::shared_ptr<Run>& run) {
  const Computation& computation = *run->work.computation;
  const std::int64_t num_phases = computation.num_phases();
  run->next_task = 0;
  run->num_tasks = 0;
  while (run->num_tasks == 0 && ++run->phase < num_phases) {
    run->num_tasks = computation.num_tasks(run->phase);
  }
  if (run->num_tasks == 0) {
    Finish(run);
    return;
  }
  MakeReady(run);
  // This worker comes back for one of the tasks.
  WakeWorkers(run->num_tasks - 1);
}

void WorkerPool::Finish(const std::shared_ptr<Run>& run) {
  --running_;
  if (!waiting_.empty()) {
    ++running_;
    MakeReady(std::move(waiting_.front()));
    waiting_.pop_front();
    WakeWorkers(1);
  }
  mutex_.Unlock();
  {
    // Destroyed here, without the lock: it may own the computation.
    const std::function<void(absl::Status)> done =
        std::exchange(run->work.done, nullptr);
    done(std::move(run->status));
  }
  mutex_.Lock();
}

void WorkerPool::WakeWorkers(std::int64_t tasks) {
  const std::int64_t count =
      std::min(tasks, static_cast<std::int64_t>(idle_workers_));
  for (std::int64_t i = 0; i < count; ++i) work_ready_.Signal();
}

}  // namespace groupnorm
