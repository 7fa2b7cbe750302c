#include "server/reading_slots.h"

#include <algorithm>

namespace groupnorm {

ReadingSlots::ReadingSlots(int num_slots) : free_(num_slots) {}

bool ReadingSlots::TakeOrWait(const void* call, std::function<void()> granted) {
  absl::MutexLock lock(&mutex_);
  if (free_ > 0) {
    --free_;
    return true;
  }
  waiters_.emplace_back(call, std::move(granted));
  return false;
}

void ReadingSlots::Leave(const void* call) {
  std::list<Waiter> left;  // Destroyed without the lock: it may own the call.
  absl::MutexLock lock(&mutex_);
  const auto waiter =
      std::find_if(waiters_.begin(), waiters_.end(),
                   [call](const Waiter& w) { return w.first == call; });
  if (waiter != waiters_.end()) {
    left.splice(left.end(), waiters_, waiter);
  }
}

void ReadingSlots::Release() {
  std::list<Waiter> next;
  {
    absl::MutexLock lock(&mutex_);
    if (waiters_.empty()) {
      ++free_;
      return;
    }
    next.splice(next.end(), waiters_, waiters_.begin());
  }
  next.front().second();
}

int ReadingSlots::waiting() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(waiters_.size());
}

}  // namespace groupnorm
