#ifndef GROUPNORM_SERVER_CALL_COUNT_H_
#define GROUPNORM_SERVER_CALL_COUNT_H_

#include <algorithm>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace groupnorm {

/// Counts objects that are alive, so that their end can be awaited.
/// Thread-safe.
class CallCount {
 public:
  /// Counts for as long as it lives. Declare it as the first member of what is
  /// counted: then it is the last to be destroyed.
  class Member {
   public:
    explicit Member(CallCount& count) : count_(count) {
      absl::MutexLock lock(&count_.mutex_);
      ++count_.members_;
      count_.last_joined_ = absl::Now();
    }
    ~Member() {
      absl::MutexLock lock(&count_.mutex_);
      --count_.members_;
    }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

   private:
    CallCount& count_;
  };

  /// Waits until no member has joined for the time of `quiet`, or until
  /// `deadline`. Does not wait where that is so already.
  void AwaitQuiet(absl::Duration quiet, absl::Time deadline) {
    while (true) {
      const absl::Time end = std::min(last_joined() + quiet, deadline);
      const absl::Time now = absl::Now();
      if (end <= now) return;
      absl::SleepFor(end - now);
    }
  }

  /// Waits until there is no member. Returns false where there still is one at
  /// `deadline`.
  bool AwaitNone(absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithDeadline(
        absl::Condition(
            +[](int* members) { return *members == 0; }, &members_),
        deadline);
  }

 private:
  absl::Time last_joined() {
    absl::MutexLock lock(&mutex_);
    return last_joined_;
  }

  absl::Mutex mutex_;
  absl::Time last_joined_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int members_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CALL_COUNT_H_
