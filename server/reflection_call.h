#ifndef GROUPNORM_SERVER_REFLECTION_CALL_H_
#define GROUPNORM_SERVER_REFLECTION_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/call_count.h"
#include "server/completion_tag.h"
#include "server/open_streams.h"
#include "server/reflection_service.h"
#include "server/served_call.h"
#include "server/transfer_timeout.h"

namespace groupnorm {

/// What the streams of reflection share. All of it is thread-safe.
struct ReflectionEnvironment {
  ReflectionService& service;
  OpenStreams& streams;
  absl::Duration write_timeout;  ///< For the last of what a stream says.
  CallCount& calls;  ///< All, those that wait for a caller included.
};

/// One stream of questions, each of which is answered before the next is read.
class ReflectionCall : public ServedCall, public OpenStream {
 public:
  /// Makes the server ready for one more stream, served on `queue`.
  /// `environment` must outlive it.
  static void Await(ReflectionService::Method method,
                    ReflectionEnvironment& environment,
                    grpc::ServerCompletionQueue* queue);

  ReflectionCall(ReflectionService::Method method,
                 ReflectionEnvironment& environment,
                 grpc::ServerCompletionQueue* queue);

  void OnPhase() override;
  void OnDisplaced(const absl::Status& status) override;

 private:
  void Request(void* tag) override;
  void AwaitNext() override { Await(method_, environment_, queue()); }
  void OnCalled() override;
  void OnQuestion(bool ok);
  void OnAnswered(bool ok);
  void OnEnded(bool /*ok*/) { end_timeout_.Stop(); }
  void OnEndTimeout() { EndUnread(); }
  void OnOver() override;
  void OnFailure(const absl::Status& status) override;

  void Read();
  void EndIfClosing();
  void End(absl::Status status);
  void Finish();

  const ReflectionService::Method method_;
  ReflectionEnvironment& environment_;

  ReflectionService::Stream stream_;
  grpc::ByteBuffer question_;

  absl::Mutex mutex_;
  bool answering_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // No operation will start.
  // What ends the stream, once nothing is being answered. Then nothing more is.
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);

  CompletionTag question_tag_, answer_tag_, end_tag_;
  TransferTimeout end_timeout_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_REFLECTION_CALL_H_
