#ifndef GROUPNORM_SERVER_UNARY_CALL_H_
#define GROUPNORM_SERVER_UNARY_CALL_H_

#include <grpcpp/grpcpp.h>

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/call_count.h"
#include "server/completion_tag.h"
#include "server/served_call.h"
#include "server/transfer_timeout.h"

namespace groupnorm {

/// What the calls with one response have in common: they are answered once,
/// with the response or with a status, and their callers have `write_timeout`
/// to take it, so that none keeps a call for ever.
class UnaryCall : public ServedCall {
 protected:
  UnaryCall(const char* method_name, CallCount& calls,
            grpc::ServerCompletionQueue* queue, absl::Duration write_timeout);

  /// Answers with the response for which `write` starts the last operation.
  void Respond(absl::FunctionRef<void(void* tag)> write);

  /// Answers with `status`, which is not ok.
  void Fail(const absl::Status& status);

  /// Whether the call is answered, or about to be: its last operation has
  /// begun.
  bool answered() const { return answered_; }

  const char* method_name() const { return method_name_; }

  /// Logs a line about this call at the level debug. Only there is `text` asked
  /// for, and the peer.
  void LogAtDebug(absl::FunctionRef<std::string()> text);

  void OnFailure(const absl::Status& status) override;

 private:
  /// Starts the last operation of a call that has no response.
  virtual void Finish(const grpc::Status& status, void* tag) = 0;

  /// The answer has left, or never will. May run before Respond() or Fail()
  /// has returned.
  virtual void OnAnswered() {}

  void OnWritten(bool ok);
  void OnWriteTimeout();

  const char* const method_name_;
  const absl::Duration write_timeout_;
  bool answered_ = false;
  CompletionTag answer_tag_;
  TransferTimeout answer_timeout_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_UNARY_CALL_H_
