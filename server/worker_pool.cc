#include "server/worker_pool.h"

#include <algorithm>
#include <cfenv>
#include <utility>

#include "absl/time/clock.h"
#include "server/guarded.h"

namespace groupnorm {
namespace {

absl::Status CancelledError() {
  return absl::CancelledError("request: cancelled");
}

// Why no further task of this work should start; OK if it should.
absl::Status StopReason(const WorkerPool::Work& work) {
  if (work.cancelled != nullptr && work.cancelled->load()) {
    return CancelledError();
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
  const std::atomic<bool>* const cancelled = run->work.cancelled;
  absl::MutexLock lock(&mutex_);
  if (cancelled != nullptr && cancelled->load()) {
    cancelled_.push_back(std::move(run));
    WakeWorkers(1);
    return;
  }
  Lane& lane = lanes_[run->work.connection];
  run->lane = &lane;
  if (MayStart(lane)) {
    Start(std::move(run));
  } else {
    if (lane.waiting.empty()) waiting_lanes_.push_back(&lane);
    lane.waiting.push_back(std::move(run));
  }
}

void WorkerPool::EndWaiting(ConnectionId connection,
                            const std::atomic<bool>* cancelled) {
  absl::MutexLock lock(&mutex_);
  const auto found = lanes_.find(connection);
  if (found == lanes_.end()) return;
  Lane& lane = found->second;
  const auto run =
      std::find_if(lane.waiting.begin(), lane.waiting.end(),
                   [cancelled](const std::shared_ptr<Run>& waiting) {
                     return waiting->work.cancelled == cancelled;
                   });
  if (run == lane.waiting.end()) return;
  cancelled_.push_back(std::move(*run));
  lane.waiting.erase(run);
  if (lane.waiting.empty()) {
    std::erase(waiting_lanes_, &lane);
    if (lane.running == 0) lanes_.erase(found);
  }
  WakeWorkers(1);
}

void WorkerPool::WorkUntilStopped() {
  // Threads inherit the environment of their creator, which may flush
  // subnormal numbers to zero; the results must not depend on that.
  std::fesetenv(FE_DFL_ENV);
  absl::MutexLock lock(&mutex_);
  while (true) {
    while (ready_lanes_.empty() && cancelled_.empty() && !stopping_) {
      ++idle_workers_;
      work_ready_.Wait(&mutex_);
      --idle_workers_;
    }
    if (!cancelled_.empty()) {
      const std::shared_ptr<Run> run = std::move(cancelled_.front());
      cancelled_.pop_front();
      run->status = CancelledError();
      TellDone(*run);
    } else if (!ready_lanes_.empty()) {
      TakeTurn(TakeReady());
    } else {
      return;
    }
  }
}

bool WorkerPool::MayStart(const Lane& lane) const {
  return running_ < max_running_ ||
         (lane.running == 0 && running_lanes_ < max_running_);
}

void WorkerPool::Start(std::shared_ptr<Run> run) {
  ++running_;
  if (run->lane->running++ == 0) ++running_lanes_;
  // Whoever takes it opens its first phase.
  MakeReady(std::move(run));
  WakeWorkers(1);
}

void WorkerPool::StartWaiting() {
  // Of the lanes that are passed over, each is one of those that are running.
  while (running_ < max_running_ || running_lanes_ < max_running_) {
    const auto next = std::find_if(
        waiting_lanes_.begin(), waiting_lanes_.end(),
        [this](const Lane* lane)
            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return MayStart(*lane); });
    if (next == waiting_lanes_.end()) return;
    Lane* const lane = *next;
    waiting_lanes_.erase(next);
    std::shared_ptr<Run> run = std::move(lane->waiting.front());
    lane->waiting.pop_front();
    if (!lane->waiting.empty()) waiting_lanes_.push_back(lane);
    Start(std::move(run));
  }
}

void WorkerPool::MakeReady(std::shared_ptr<Run> run) {
  Lane& lane = *run->lane;
  if (lane.ready.empty()) ready_lanes_.push_back(&lane);
  run->listed = true;
  lane.ready.push_back(std::move(run));
}

std::shared_ptr<WorkerPool::Run> WorkerPool::TakeReady() {
  Lane* const lane = ready_lanes_.front();
  ready_lanes_.pop_front();
  std::shared_ptr<Run> run = std::move(lane->ready.front());
  lane->ready.pop_front();
  if (!lane->ready.empty()) ready_lanes_.push_back(lane);
  run->listed = false;
  return run;
}

void WorkerPool::TakeTurn(const std::shared_ptr<Run>& run) {
  if (run->phase < 0) OpenNextPhase(*run);
  if (run->status.ok()) run->status = StopReason(run->work);
  if (run->status.ok() && run->next_task < run->num_tasks) RunNextTask(run);
  // The last one out of a phase goes on. While the run still is listed, whoever
  // takes it from there comes past here again.
  const bool phase_over = run->next_task == run->num_tasks || !run->status.ok();
  if (!phase_over || run->tasks_taken > 0 || run->listed) return;
  if (run->status.ok()) OpenNextPhase(*run);
  if (run->status.ok() && run->next_task < run->num_tasks) {
    MakeReady(run);
  } else {
    Finish(run);
  }
}

void WorkerPool::RunNextTask(const std::shared_ptr<Run>& run) {
  const std::int64_t phase = run->phase;
  const std::int64_t task = run->next_task++;
  ++run->tasks_taken;
  if (run->next_task < run->num_tasks) MakeReady(run);
  mutex_.Unlock();
  const absl::Time start = absl::Now();
  absl::Status status = RunGuarded([&] {
    run->work.computation->RunTask(phase, task);
    return absl::OkStatus();
  });
  const absl::Duration taken = absl::Now() - start;
  mutex_.Lock();
  --run->tasks_taken;
  run->status.Update(std::move(status));
  run->timing.first_task = std::min(run->timing.first_task, start);
  run->timing.longest_task = std::max(run->timing.longest_task, taken);
}

void WorkerPool::OpenNextPhase(Run& run) {
  const Computation& computation = *run.work.computation;
  const std::int64_t num_phases = computation.num_phases();
  run.next_task = 0;
  run.num_tasks = 0;
  while (run.num_tasks == 0 && ++run.phase < num_phases) {
    run.num_tasks = computation.num_tasks(run.phase);
  }
  // This worker takes, or comes back for, one of the tasks.
  WakeWorkers(run.num_tasks - 1);
}

void WorkerPool::Finish(const std::shared_ptr<Run>& run) {
  Lane& lane = *run->lane;
  --running_;
  if (--lane.running == 0) {
    --running_lanes_;
    if (lane.waiting.empty()) lanes_.erase(run->work.connection);
  }
  StartWaiting();
  TellDone(*run);
}

void WorkerPool::TellDone(Run& run) {
  mutex_.Unlock();
  if (run.work.timing != nullptr) *run.work.timing = run.timing;
  {
    // Destroyed here, without the lock: it may own the computation.
    const std::function<void(absl::Status)> done =
        std::exchange(run.work.done, nullptr);
    done(std::move(run.status));
  }
  mutex_.Lock();
}

void WorkerPool::WakeWorkers(std::int64_t tasks) {
  const std::int64_t count =
      std::min(tasks, static_cast<std::int64_t>(idle_workers_));
  for (std::int64_t i = 0; i < count; ++i) work_ready_.Signal();
}

}  // namespace groupnorm
