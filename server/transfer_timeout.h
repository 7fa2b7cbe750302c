#ifndef GROUPNORM_SERVER_TRANSFER_TIMEOUT_H_
#define GROUPNORM_SERVER_TRANSFER_TIMEOUT_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/completion_tag.h"

namespace groupnorm {

/// Bounds the time that one transfer takes. Used once. Thread-safe: the end of
/// a transfer may be reported before its start has returned.
class TransferTimeout {
 public:
  /// Takes no memory. Runs `expired` on the thread of `queue` unless Stop()
  /// comes within `timeout`; does nothing where it came already. What `expired`
  /// captures stays alive until then, or until soon after Stop().
  void Start(grpc::ServerCompletionQueue* queue, absl::Duration timeout,
             std::function<void()> expired);

  /// The transfer has ended. Where `expired` runs on the same thread, it either
  /// ran before or will not.
  void Stop();

 private:
  void OnAlarm(bool in_time);

  absl::Mutex mutex_;
  std::function<void()> expired_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);
  CompletionTag tag_;
};

/// What a caller is told whose request has not arrived in time.
absl::Status ReadTimeoutError(absl::Duration read_timeout);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_TRANSFER_TIMEOUT_H_
