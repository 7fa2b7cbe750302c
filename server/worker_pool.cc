#include "server/worker_pool.h"

#include <algorithm>
#include <cfenv>
#include <utility>

#include "absl/time/clock.h"
#include "server/guarded.h"

namespace groupnorm {
namespace {

// Copies share these, and so take no memory on the workers.
const absl::Status& CancelledError() {
  static const absl::Status& error =
      *new absl::Status(absl::CancelledError("request: cancelled"));
  return error;
}

const absl::Status& DeadlineError() {
  static const absl::Status& error =
      *new absl::Status(absl::DeadlineExceededError(
          "deadline: passed before the request was computed"));
  return error;
}

// Why no further task of this work should start; OK if it should.
absl::Status StopReason(const WorkerPool::Work& work) {
  if (work.cancelled != nullptr && work.cancelled->load()) {
    return CancelledError();
  }
  return work.deadline <= absl::Now() ? DeadlineError() : absl::OkStatus();
}

}  // namespace

WorkerPool::WorkerPool(int workers, int max_running)
    : max_running_(max_running) {
  CancelledError();
  DeadlineError();
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
  Runs runs;
  runs.push_back(std::make_shared<Run>());
  Run& run = *runs.front();
  run.work = std::move(work);
  run.entry = runs.begin();
  const std::atomic<bool>* const cancelled = run.work.cancelled;
  absl::MutexLock lock(&mutex_);
  if (cancelled != nullptr && cancelled->load()) {
    cancelled_.splice(cancelled_.end(), runs);
    WakeWorkers(1);
    return;
  }
  Lane& lane = LaneOf(run.work.connection);
  run.lane = &lane;
  if (MayStart(lane)) {
    StartFirst(lane, runs);
  } else {
    lane.waiting.splice(lane.waiting.end(), runs);
    waiting_lanes_.splice(waiting_lanes_.end(), lane.waiting_turn);
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
  cancelled_.splice(cancelled_.end(), lane.waiting, run);
  if (lane.waiting.empty()) {
    lane.waiting_turn.splice(
        lane.waiting_turn.end(), waiting_lanes_,
        std::find(waiting_lanes_.begin(), waiting_lanes_.end(), &lane));
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

WorkerPool::Lane& WorkerPool::LaneOf(ConnectionId connection) {
  auto found = lanes_.find(connection);
  if (found == lanes_.end()) {
    Lanes ready_turn(1), waiting_turn(1);
    found = lanes_.try_emplace(connection).first;
    Lane& lane = found->second;
    ready_turn.front() = waiting_turn.front() = &lane;
    lane.ready_turn.swap(ready_turn);
    lane.waiting_turn.swap(waiting_turn);
  }
  return found->second;
}

bool WorkerPool::MayStart(const Lane& lane) const {
  return running_ < max_running_ ||
         (lane.running == 0 && running_lanes_ < max_running_);
}

// Of `runs`, which are of this lane.
void WorkerPool::StartFirst(Lane& lane, Runs& runs) {
  ++running_;
  if (lane.running++ == 0) ++running_lanes_;
  lane.busy.splice(lane.busy.end(), runs, runs.begin());
  // Whoever takes it opens its first phase.
  MakeReady(*lane.busy.back());
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
    Lane& lane = **next;
    lane.waiting_turn.splice(lane.waiting_turn.end(), waiting_lanes_, next);
    StartFirst(lane, lane.waiting);
    if (!lane.waiting.empty()) {
      waiting_lanes_.splice(waiting_lanes_.end(), lane.waiting_turn);
    }
  }
}

void WorkerPool::MakeReady(Run& run) {
  Lane& lane = *run.lane;
  run.listed = true;
  lane.ready.splice(lane.ready.end(), lane.busy, run.entry);
  ready_lanes_.splice(ready_lanes_.end(), lane.ready_turn);
}

std::shared_ptr<WorkerPool::Run> WorkerPool::TakeReady() {
  Lane& lane = *ready_lanes_.front();
  lane.ready_turn.splice(lane.ready_turn.end(), ready_lanes_,
                         ready_lanes_.begin());
  std::shared_ptr<Run> run = lane.ready.front();
  lane.busy.splice(lane.busy.end(), lane.ready, run->entry);
  if (!lane.ready.empty()) {
    ready_lanes_.splice(ready_lanes_.end(), lane.ready_turn);
  }
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
    MakeReady(*run);
  } else {
    Finish(run);
  }
}

void WorkerPool::RunNextTask(const std::shared_ptr<Run>& run) {
  const std::int64_t phase = run->phase;
  const std::int64_t task = run->next_task++;
  ++run->tasks_taken;
  if (run->next_task < run->num_tasks) MakeReady(*run);
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
  lane.busy.erase(run->entry);
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
