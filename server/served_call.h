#ifndef GROUPNORM_SERVER_SERVED_CALL_H_
#define GROUPNORM_SERVER_SERVED_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/call_count.h"
#include "server/completion_tag.h"

namespace groupnorm {

/// What the calls of all services have in common: how they wait for a caller,
/// what keeps them alive, and how they end where memory does.
///
/// Each operation that is under way (of gRPC, or a wait) holds an Event(), and
/// with it a reference. So a call is destroyed once, when the last of them has
/// come back, whether it was answered, cancelled or never came.
class ServedCall : public std::enable_shared_from_this<ServedCall> {
 public:
  virtual ~ServedCall() = default;
  ServedCall(const ServedCall&) = delete;
  ServedCall& operator=(const ServedCall&) = delete;

  /// Makes the server ready for one more call, which `call` then is. Where it
  /// throws std::bad_alloc, it is not.
  static void Await(const std::shared_ptr<ServedCall>& call);

 protected:
  /// Served on `queue`, which must outlive it. Counted among `calls` from now
  /// on.
  ServedCall(CallCount& calls, grpc::ServerCompletionQueue* queue);

  /// Runs a step under Guard(), and keeps the call alive until then. Take the
  /// events of an operation before it is started: what follows its start must
  /// need no memory.
  template <typename Derived, typename... Arguments>
  std::function<void(Arguments...)> Event(void (Derived::*step)(Arguments...)) {
    return [call = std::static_pointer_cast<Derived>(shared_from_this()),
            step](Arguments... arguments) {
      call->Guard([&] { ((*call).*step)(arguments...); });
    };
  }

  /// Runs a step; where it throws, OnFailure() follows, and where even that
  /// does, the call is cancelled.
  void Guard(absl::FunctionRef<void()> step);

  /// Starts an operation: runs `start` with the tag for it, and `event` when
  /// the operation has ended. Where `start` throws, as gRPC does that has no
  /// memory to copy the text of a status, the operation has not begun: then
  /// this cancels the call, lets go of `event` and returns false. Nothing else
  /// may be started then, and what the call has it gives back when it is
  /// destroyed.
  bool Begin(CompletionTag& tag, std::function<void(bool)> event,
             absl::FunctionRef<void(void* tag)> start);

  /// The caller does not take what the call said last: cancels the call. Where
  /// its peer does not even read from the socket, which keeps gRPC from ending
  /// the call, closes the connection. Does not throw.
  void EndUnread();

  grpc::ServerCompletionQueue* queue() const { return queue_; }
  grpc::ServerContext& context() { return context_; }

 private:
  /// Asks gRPC for a caller. `tag` comes back with its headers.
  virtual void Request(void* tag) = 0;

  /// Await() for one more call of the same kind.
  virtual void AwaitNext() = 0;

  /// The headers of a caller have come.
  virtual void OnCalled() = 0;

  /// The call is over: answered, cancelled, or its connection is gone. Runs
  /// beside any other step, and must not throw.
  virtual void OnOver() {}

  /// A step threw, as a status. Ends the call with it unless it is ended.
  virtual void OnFailure(const absl::Status& status) = 0;

  void OnHeaders(bool ok);
  void OnDone(bool ok);
  void AwaitNextOrTryAgain();

  CallCount::Member member_;  // First, so that it is destroyed last.
  grpc::ServerCompletionQueue* const queue_;
  grpc::ServerContext context_;
  CompletionTag headers_tag_, over_tag_;

  // Where there was no memory for the next call: when it is tried again, and
  // what keeps this one until then.
  grpc::Alarm again_;
  CompletionTag again_tag_;
  std::shared_ptr<ServedCall> self_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_SERVED_CALL_H_
