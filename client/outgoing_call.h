#ifndef GROUPNORM_CLIENT_OUTGOING_CALL_H_
#define GROUPNORM_CLIENT_OUTGOING_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/connection.h"
#include "client/retry.h"

namespace groupnorm {

/// The time that one call may take in all, running from construction.
class CallLimit {
 public:
  explicit CallLimit(absl::Duration timeout);

  /// INVALID_ARGUMENT unless the timeout is positive and finite.
  absl::Status Validate() const;

  absl::Duration timeout() const { return timeout_; }
  absl::Time deadline() const { return deadline_; }

 private:
  absl::Duration timeout_;
  absl::Time deadline_;
};

/// One call with encoded messages: its attempts, the waits between them and its
/// end. It owns no thread: each step ends with exactly one event that is due on
/// the completion queue, and whoever serves that then calls Advance(). So a
/// caller that waits may serve a queue of its own.
///
/// All attempts send the same bytes, which are copied for none of them.
class OutgoingCall {
 public:
  /// `method` is a string constant; `tag` is that of the events.
  OutgoingCall(Connection& connection, const char* method,
               const grpc::ByteBuffer& request, const CallLimit& limit,
               grpc::CompletionQueue& queue, void* tag);

  /// Takes the first step. Precondition: called once, before all else.
  void Start();

  /// Takes the step that follows the event. True: the call is over, and no
  /// event is due.
  bool Advance();

  /// Ends the call soon, with CANCELLED unless it is over already. From any
  /// thread, also before Start().
  void Cancel();

  /// The response, or the error. Precondition: Advance() was true; called once.
  absl::StatusOr<grpc::ByteBuffer> TakeResult();

 private:
  struct Attempt {
    grpc::ClientContext context;
    absl::Time deadline;
    grpc::ByteBuffer response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  };

  void StartAttempt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndAttempt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wait() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWait() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayTryAgain() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FinalError() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Connection& connection_;
  const char* const method_;
  const CallLimit limit_;
  grpc::CompletionQueue& queue_;
  void* const tag_;

  // Cancel() may come at any time; the rest knows one thread at a time.
  absl::Mutex mutex_;
  grpc::ByteBuffer request_ ABSL_GUARDED_BY(mutex_);
  // One of the two has an event due, until there is a result.
  std::unique_ptr<Attempt> attempt_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Alarm> wait_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<grpc::ByteBuffer>> result_
      ABSL_GUARDED_BY(mutex_);

  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int attempts_ ABSL_GUARDED_BY(mutex_) = 0;
  int attempts_refused_for_memory_ ABSL_GUARDED_BY(mutex_) = 0;
  bool took_token_ ABSL_GUARDED_BY(mutex_) = false;
  bool deadline_passed_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the last attempt, and of the one before where the call's deadline ended
  // the last.
  std::optional<AttemptFailure> failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_OUTGOING_CALL_H_
