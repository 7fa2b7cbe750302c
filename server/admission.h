#ifndef GROUPNORM_SERVER_ADMISSION_H_
#define GROUPNORM_SERVER_ADMISSION_H_

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace groupnorm {

/// How long a caller that was shed is asked to wait before it tries again: of
/// the order of one large request, so that a slot has a chance to be free.
inline constexpr absl::Duration kRetryPushback = absl::Milliseconds(100);

/// UNAVAILABLE: what a server that drains answers to new calls.
absl::Status DrainingError();

/// Decides at the headers of a call, before its body is read, whether the
/// server takes it on. Counts calls: their sizes are not known yet.
/// Thread-safe.
class AdmissionController {
 public:
  /// Admits at most `max_queued_calls` calls at a time; 1 or more.
  explicit AdmissionController(int max_queued_calls);

  /// Takes a call on; the caller owes an Answered() when this returns OK.
  /// DEADLINE_EXCEEDED: `deadline` has passed. UNAVAILABLE: the server drains,
  /// or max_queued_calls are in flight; another server, or this one after
  /// kRetryPushback, may do better.
  absl::Status Admit(absl::Time deadline);

  /// A call that was admitted has been answered, or is over without an answer.
  void Answered();

  /// Admits nothing from now on.
  void StartDraining();

  /// UNAVAILABLE once StartDraining() was called.
  absl::Status CheckNotDraining() const;

  /// Calls that are admitted and not yet answered.
  int in_flight() const;

 private:
  const int max_queued_calls_;
  mutable absl::Mutex mutex_;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ADMISSION_H_
