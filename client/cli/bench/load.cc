#include "client/cli/bench/load.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace groupnorm::bench {

namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);

class Load {
 public:
  Load(const LoadOptions& options, const StartCall& start)
      : options_(options),
        start_(start),
        begin_(absl::Now()),
        measured_(begin_ + options.warm_up),
        end_(measured_ + options.duration),
        other_came_(static_cast<std::size_t>(options.in_flight)) {
    for (int slot = options.in_flight; slot-- > 0;) free_.push_back(slot);
  }

  LoadResult Run(
      const std::function<void(std::int64_t, absl::Duration)>& progress) {
    progress_ = &progress;
    if (options_.rate.has_value()) {
      RunOpen(*options_.rate);
    } else {
      RunClosed();
    }
    const auto all_free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return free_.size() == static_cast<std::size_t>(options_.in_flight);
    };
    absl::MutexLock lock(&mutex_);
    while (!mutex_.AwaitWithTimeout(absl::Condition(&all_free), kTick)) {
      Progress();
    }
    result_.elapsed = std::max(last_answer_, end_) - measured_;
    return std::move(result_);
  }

 private:
  void RunClosed() {
    std::vector<int> slots;
    {
      absl::MutexLock lock(&mutex_);
      slots.swap(free_);
    }
    for (const int slot : slots) FollowUp(slot);
  }

  // Starts a call of the closed loop, or gives the slot back. On the thread
  // that ended the call before, since handing over to another one takes time in
  // which the server has nothing to do; but where that call ended before its
  // start returned, once it has returned, since the one might stand upon the
  // other without end.
  void FollowUp(int slot) {
    std::atomic<bool>& other_came = other_came_[static_cast<std::size_t>(slot)];
    do {
      const absl::Time now = absl::Now();
      if (now >= end_) {
        absl::MutexLock lock(&mutex_);
        free_.push_back(slot);
        return;
      }
      other_came = false;
      start_(slot, [this, slot, now, &other_came](const absl::Status& status) {
        {
          absl::MutexLock lock(&mutex_);
          Record(now, status);
        }
        if (other_came.exchange(true)) FollowUp(slot);
      });
    } while (other_came.exchange(true));
  }

  void RunOpen(double rate) {
    for (std::int64_t call = 0;; ++call) {
      const absl::Time due =
          begin_ + absl::Seconds(static_cast<double>(call) / rate);
      if (due >= end_) return;
      const std::optional<int> slot = SlotAt(due);
      if (!slot.has_value()) {
        const absl::Time first = std::max(due, measured_);
        absl::MutexLock lock(&mutex_);
        result_.unsent =
            std::llround(std::ceil(absl::ToDoubleSeconds(end_ - first) * rate));
        return;
      }
      start_(*slot, [this, slot, due](const absl::Status& status) {
        absl::MutexLock lock(&mutex_);
        Record(due, status);
        free_.push_back(*slot);
      });
    }
  }

  // Waits until `due`, and then for a slot. None where the end comes first.
  std::optional<int> SlotAt(absl::Time due) {
    const auto never = [] { return false; };
    const auto any_free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !free_.empty();
    };
    absl::MutexLock lock(&mutex_);
    for (absl::Time now = absl::Now(); now < due; now = absl::Now()) {
      mutex_.AwaitWithDeadline(absl::Condition(&never),
                               std::min(due, now + kTick));
      Progress();
    }
    while (!mutex_.AwaitWithTimeout(absl::Condition(&any_free), kTick)) {
      if (absl::Now() >= end_) return std::nullopt;
      Progress();
    }
    if (absl::Now() >= end_) return std::nullopt;
    const int slot = free_.back();
    free_.pop_back();
    return slot;
  }

  void Record(absl::Time started, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++answered_;
    if (started < measured_) return;
    last_answer_ = absl::Now();
    if (status.ok()) {
      result_.latencies.Add(last_answer_ - started);
    } else {
      ++result_.failed;
      result_.first_failure.Update(status);
    }
  }

  void Progress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    (*progress_)(answered_, absl::Now() - begin_);
  }

  const LoadOptions options_;
  const StartCall& start_;
  const absl::Time begin_;
  const absl::Time measured_;
  const absl::Time end_;
  const std::function<void(std::int64_t, absl::Duration)>* progress_ = nullptr;
  // Of each slot's call: whether its end or the return of its start has come.
  std::vector<std::atomic<bool>> other_came_;

  absl::Mutex mutex_;
  std::vector<int> free_ ABSL_GUARDED_BY(mutex_);
  std::int64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_answer_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

LoadResult RunLoad(const LoadOptions& options, const StartCall& start,
                   const std::function<void(std::int64_t answered,
                                            absl::Duration since)>& progress) {
  return Load(options, start).Run(progress);
}

}  // namespace groupnorm::bench
