#ifndef GROUPNORM_SERVER_CALL_H_
#define GROUPNORM_SERVER_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/admission.h"
#include "server/call_count.h"
#include "server/completion_tag.h"
#include "server/execution.h"
#include "server/reading_slots.h"
#include "server/request_budget.h"
#include "server/service.h"
#include "server/worker_pool.h"
#include "tensor/buffer_pool.h"

namespace groupnorm {

/// What the calls of a server share. All of it is thread-safe.
struct CallEnvironment {
  GroupNormService& service;
  AdmissionController& admission;
  ReadingSlots& reading_slots;
  BufferPool& buffers;
  WorkerPool& workers;
  RequestLimits limits;
  CallCount& calls;     ///< All, those that wait for a caller included.
  CallCount& admitted;  ///< Those that were admitted.
};

/// One call of Forward or Backward, from its headers to its reply; the two
/// differ in one function only. Its methods stand in the order in which they
/// happen:
///
///     headers -> admit -> reading slot -> read -> decode -> execute
///             -> encode -> reply
///
/// Each operation that is under way (of gRPC, of the reading slots, of the
/// workers) holds a reference. So a call is destroyed once, when the last of
/// them has come back, whether it was answered, cancelled or never came.
/// The steps follow each other; only OnOver() may run beside any of them.
class Call : public std::enable_shared_from_this<Call> {
 public:
  /// Makes the server ready for one more call of `method`, served on `queue`.
  /// `environment` must outlive the call.
  static void Await(GroupNormService::Method method,
                    CallEnvironment& environment,
                    grpc::ServerCompletionQueue* queue);

  Call(GroupNormService::Method method, CallEnvironment& environment,
       grpc::ServerCompletionQueue* queue);
  ~Call();

 private:
  void OnHeaders(bool ok);
  void Admit();
  void OnReadingSlot();
  void OnRead(bool ok);
  void Execute();
  void OnExecuted(absl::Status status);
  void Reply();
  void Fail(const absl::Status& status);
  void OnReplied();

  absl::Status Prepare();
  void OnOver();
  void ReleaseReadingSlot();
  void LeaveAdmission();

  CallCount::Member member_;  // First, so that it is destroyed last.
  std::optional<CallCount::Member> admitted_;
  const GroupNormService::Method method_;
  CallEnvironment& environment_;
  grpc::ServerCompletionQueue* const queue_;

  grpc::ServerContext context_;
  GroupNormService::TensorStream stream_;
  grpc::ByteBuffer request_;
  std::unique_ptr<Execution> execution_;
  absl::Time received_;  // Its last byte was read.
  WorkerPool::Timing timing_;
  bool in_flight_ = false;  // Admission counts it.
  bool has_reading_slot_ = false;
  std::atomic<bool> cancelled_ = false;

  CompletionTag headers_tag_, over_tag_, read_tag_, reply_tag_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CALL_H_
