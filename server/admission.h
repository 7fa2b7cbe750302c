#ifndef GROUPNORM_SERVER_ADMISSION_H_
#define GROUPNORM_SERVER_ADMISSION_H_

#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/connection_id.h"
#include "server/retry_pushback.h"

namespace groupnorm {

/// UNAVAILABLE: what a server that drains answers to new calls.
absl::Status DrainingError();

/// Decides at the headers of a call, before its body is read, whether the
/// server takes it on. Counts calls: their sizes are not known yet.
/// Thread-safe.
class AdmissionController {
 public:
  /// Admits at most `max_queued_calls` calls at a time, 1 or more, and half of
  /// that, but at least one, from one connection: so a flood leaves room for
  /// others.
  explicit AdmissionController(int max_queued_calls);

  /// Takes a call on; the caller owes an Answered() when this returns OK.
  /// DEADLINE_EXCEEDED: `deadline` has passed. UNAVAILABLE: the server drains,
  /// or too many calls are in flight, or too many of this connection; another
  /// server, or this one after Pushback(), may do better.
  absl::Status Admit(ConnectionId connection, absl::Time deadline);

  /// A call that was admitted has been answered, or is over without an answer.
  void Answered(ConnectionId connection);

  /// For how long a caller that was shed just now should stay away.
  absl::Duration Pushback() const;

  /// Admits nothing from now on.
  void StartDraining();

  /// UNAVAILABLE once StartDraining() was called.
  absl::Status CheckNotDraining() const;

  /// Calls that are admitted and not yet answered.
  int in_flight() const;

  /// Waits until there is none. False where there still is one at `deadline`.
  bool AwaitAllAnswered(absl::Time deadline) const;

 private:
  const int max_calls_;
  const int max_calls_of_connection_;
  mutable absl::Mutex mutex_;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those in flight, for each connection that has any.
  std::unordered_map<ConnectionId, int> calls_of_connection_
      ABSL_GUARDED_BY(mutex_);
  RetryPushback pushback_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ADMISSION_H_
