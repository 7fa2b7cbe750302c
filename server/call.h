#ifndef GROUPNORM_SERVER_CALL_H_
#define GROUPNORM_SERVER_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/admission.h"
#include "server/allowance.h"
#include "server/call_count.h"
#include "server/completion_tag.h"
#include "server/connection_id.h"
#include "server/execution.h"
#include "server/request_budget.h"
#include "server/service.h"
#include "server/transfer_timeout.h"
#include "server/unary_call.h"
#include "server/worker_pool.h"
#include "tensor/buffer_pool.h"

namespace groupnorm {

/// What the calls of a server share. All of it is thread-safe.
struct CallEnvironment {
  GroupNormService& service;
  AdmissionController& admission;
  Allowance& reading_slots;
  Allowance& queued_bytes;
  BufferPool& buffers;
  WorkerPool& workers;
  RequestLimits limits;
  absl::Duration read_timeout;
  absl::Duration write_timeout;
  CallCount& calls;  ///< All, those that wait for a caller included.
};

/// One call of Forward or Backward, from its headers to its response; the two
/// differ in one function only. Its methods stand in the order in which they
/// happen:
///
///     headers -> admit -> reading slot -> read -> decode -> memory
///             -> execute -> encode -> respond
///
/// The steps follow each other; only OnOver() may run beside any of them, and
/// OnReadTimeout() beside OnReadingSlot().
class Call : public UnaryCall {
 public:
  /// Makes the server ready for one more call of `method`, served on `queue`.
  /// `environment` must outlive the call.
  static void Await(GroupNormService::Method method,
                    CallEnvironment& environment,
                    grpc::ServerCompletionQueue* queue);

  Call(GroupNormService::Method method, CallEnvironment& environment,
       grpc::ServerCompletionQueue* queue);
  ~Call() override;

 private:
  void Request(void* tag) override;
  void AwaitNext() override { Await(method_, environment_, queue()); }
  void OnCalled() override;
  void OnReadingSlot();
  void OnRead(bool ok);
  void OnReadTimeout();
  void TakeMemory();
  void OnMemory();
  void OnExecuted(const absl::Status& status);
  void Encode();
  void Finish(const grpc::Status& status, void* tag) override;
  void OnAnswered() override;
  void OnOver() override;
  void OnFailure(const absl::Status& status) override;

  absl::Status Decode();
  void ReleaseReadingSlot();
  void ReleaseMemory();
  void LeaveAdmission();

  const GroupNormService::Method method_;
  CallEnvironment& environment_;

  GroupNormService::TensorStream stream_;
  grpc::ByteBuffer request_;
  PreparedRequest prepared_;
  std::unique_ptr<Execution> execution_;
  absl::Time received_;  // Its last byte was read.
  WorkerPool::Timing timing_;
  ConnectionId connection_ = nullptr;
  bool in_flight_ = false;  // Admission counts it.
  bool has_reading_slot_ = false;
  bool reading_ = false;           // The read is under way.
  std::int64_t queued_bytes_ = 0;  // What it has taken of them.
  std::atomic<bool> cancelled_ = false;

  CompletionTag read_tag_;
  TransferTimeout read_timeout_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CALL_H_
