#ifndef GROUPNORM_SERVER_HEALTH_CALL_H_
#define GROUPNORM_SERVER_HEALTH_CALL_H_

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
#include "server/health_service.h"
#include "server/open_streams.h"
#include "server/served_call.h"
#include "server/transfer_timeout.h"

namespace groupnorm {

/// What the calls of the health service share. All of it is thread-safe.
struct HealthEnvironment {
  HealthService& service;
  OpenStreams& checks;
  OpenStreams& watches;
  absl::Duration read_timeout;
  absl::Duration write_timeout;  ///< For the last of what a call says.
  CallCount& calls;  ///< All, those that wait for a caller included.
};

/// One call of Check or Watch. It takes no room among the calls in flight, so
/// that a full server still says that it is healthy.
class HealthCall : public ServedCall, public OpenStream {
 public:
  /// Makes the server ready for one more call of `method`, served on `queue`.
  /// `environment` must outlive the call.
  static void Await(HealthService::Method method,
                    HealthEnvironment& environment,
                    grpc::ServerCompletionQueue* queue);

  HealthCall(HealthService::Method method, HealthEnvironment& environment,
             grpc::ServerCompletionQueue* queue);

  void OnPhase() override;
  void OnDisplaced(const absl::Status& status) override;

 private:
  using Response = grpc::health::v1::HealthCheckResponse;

  // What is said next, in one operation of gRPC: a message, the end of the
  // call, both, or nothing.
  struct Step {
    std::optional<Response::ServingStatus> tell = std::nullopt;
    std::optional<absl::Status> end = std::nullopt;
  };

  void Request(void* tag) override;
  void AwaitNext() override { Await(method_, environment_, queue()); }
  void OnCalled() override;
  void OnRequest(bool ok);
  void OnReadTimeout();
  void OnTold(bool ok);
  void OnWriteTimeout() { EndUnread(); }
  void OnOver() override;
  void OnFailure(const absl::Status& status) override { Fail(status); }

  void Fail(absl::Status status);
  void Answer();
  Step NextStep() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Response::ServingStatus StatusIn(ServerPhase phase) const;

  const HealthService::Method method_;
  HealthEnvironment& environment_;
  OpenStreams& streams_;

  HealthService::Stream stream_;
  grpc::ByteBuffer message_;  // Becomes request_.
  grpc::health::v1::HealthCheckRequest request_;

  absl::Mutex mutex_;
  bool has_request_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status fault_ ABSL_GUARDED_BY(mutex_);    // Ends the call.
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;  // A step is under way.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;    // No further one will start.
  std::optional<Response::ServingStatus> told_ ABSL_GUARDED_BY(mutex_);

  CompletionTag request_tag_, tell_tag_;
  TransferTimeout read_timeout_, write_timeout_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_HEALTH_CALL_H_
