#include "server/call.h"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/connection.h"
#include "server/grpc_status.h"
#include "server/guarded.h"

namespace groupnorm {
namespace {

const char* MethodName(GroupNormService::Method method) {
  return method == GroupNormService::kForward ? "Forward" : "Backward";
}

}  // namespace

void Call::Await(GroupNormService::Method method, CallEnvironment& environment,
                 grpc::ServerCompletionQueue* queue) {
  const auto call = std::make_shared<Call>(method, environment, queue);
  call->context_.AsyncNotifyWhenDone(
      call->over_tag_.Arm([call](bool) { call->OnOver(); }));
  environment.service.RequestTensorCall(
      method, &call->context_, &call->stream_, queue,
      call->headers_tag_.Arm([call](bool ok) { call->OnHeaders(ok); }));
}

Call::Call(GroupNormService::Method method, CallEnvironment& environment,
           grpc::ServerCompletionQueue* queue)
    : member_(environment.calls),
      method_(method),
      environment_(environment),
      queue_(queue),
      stream_(&context_) {}

// What a call that was never answered still has, gives it back here.
Call::~Call() {
  prepared_ = {};
  ReleaseReadingSlot();
  ReleaseMemory();
  LeaveAdmission();
}

void Call::OnHeaders(bool ok) {
  if (!ok) {
    // The server has shut down before a caller came: gRPC then does not give
    // back the tag that says that the call is over.
    over_tag_.Disarm();
    return;
  }
  Await(method_, environment_, queue_);
  Admit();
}

void Call::Admit() {
  connection_ = ConnectionOf(context_);
  const absl::Status admission = environment_.admission.Admit(
      connection_, absl::FromChrono(context_.deadline()));
  if (!admission.ok()) {
    if (absl::IsUnavailable(admission)) {
      AddRetryPushback(environment_.admission.Pushback(), context_);
    }
    Fail(admission);
    return;
  }
  in_flight_ = true;
  spdlog::debug("{} from {}: admitted", MethodName(method_), context_.peer());
  if (environment_.reading_slots.TakeOrWait(
          connection_, this, 1,
          [call = shared_from_this()] { call->OnReadingSlot(); })) {
    OnReadingSlot();
  } else if (cancelled_) {
    // OnOver() may have come before the wait began.
    environment_.reading_slots.Leave(this);
  }
}

void Call::OnReadingSlot() {
  has_reading_slot_ = true;
  stream_.Read(&request_, read_tag_.Arm([call = shared_from_this()](bool ok) {
    call->OnRead(ok);
  }));
  read_timeout_.Start(queue_, environment_.read_timeout,
                      [call = shared_from_this()] { call->OnReadTimeout(); });
}

void Call::OnRead(bool ok) {
  received_ = absl::Now();
  read_timeout_.Stop();
  if (read_timed_out_) {
    // Answered already. What has arrived is let go of now.
    request_.Clear();
    ReleaseReadingSlot();
    return;
  }
  // Not ok: the caller ended without a message, or the call is over (cancelled,
  // or gRPC refused a message that is too large): then nobody sees this answer.
  const absl::Status status = ok ? RunGuarded([this] { return Decode(); })
                                 : absl::InvalidArgumentError(absl::StrCat(
                                       "request: missing, expected a ",
                                       MethodName(method_), "Request"));
  if (!status.ok()) {
    ReleaseReadingSlot();
    Fail(status);
    return;
  }
  TakeMemory();
}

// On the same thread as OnRead(), which has not run yet.
void Call::OnReadTimeout() {
  read_timed_out_ = true;
  // Answering ends the call, and so the reading of its body.
  Fail(ReadTimeoutError(environment_.read_timeout));
}

absl::Status Call::Decode() {
  MessageSlices message(request_);
  request_.Clear();
  const auto prepare = method_ == GroupNormService::kForward ? &PrepareForward
                                                             : &PrepareBackward;
  absl::StatusOr<PreparedRequest> prepared =
      prepare(std::move(message), environment_.limits);
  if (!prepared.ok()) return prepared.status();
  prepared_ = *std::move(prepared);
  return absl::OkStatus();
}

void Call::TakeMemory() {
  if (environment_.queued_bytes.TakeOrWait(
          connection_, this, prepared_.memory_bytes,
          [call = shared_from_this()] { call->OnMemory(); })) {
    OnMemory();
  } else if (cancelled_) {
    environment_.queued_bytes.Leave(this);
  }
}

void Call::OnMemory() {
  queued_bytes_ = prepared_.memory_bytes;
  const absl::Status begun = RunGuarded([this] {
    execution_ =
        std::exchange(prepared_, {}).begin(environment_.buffers, [this] {
          ReleaseReadingSlot();
        });
    return absl::OkStatus();
  });
  if (!begun.ok()) {
    ReleaseReadingSlot();
    Fail(begun);
    return;
  }
  environment_.workers.Submit(
      {.computation = execution_.get(),
       .deadline = absl::FromChrono(context_.deadline()),
       .cancelled = &cancelled_,
       .connection = connection_,
       .timing = &timing_,
       .done = [call = shared_from_this()](const absl::Status& status) {
         call->OnExecuted(status);
       }});
}

void Call::OnExecuted(const absl::Status& status) {
  if (timing_.first_task != absl::InfiniteFuture()) {
    spdlog::debug(
        "{} from {}: first task {} us after its last byte, longest task {} us",
        MethodName(method_), context_.peer(),
        absl::ToInt64Microseconds(timing_.first_task - received_),
        absl::ToInt64Microseconds(timing_.longest_task));
  }
  if (status.ok()) {
    Reply();
  } else {
    execution_.reset();
    Fail(status);
  }
  // Still held where the execution ended before everything was gathered.
  ReleaseReadingSlot();
}

void Call::Reply() {
  grpc::ByteBuffer response;
  const absl::Status status = RunGuarded([&] {
    response = execution_->TakeResponse();
    return absl::OkStatus();
  });
  execution_.reset();
  if (!status.ok()) {
    Fail(status);
    return;
  }
  stream_.WriteAndFinish(
      response, grpc::WriteOptions(), grpc::Status::OK,
      reply_tag_.Arm([call = shared_from_this()](bool) { call->OnReplied(); }));
  write_timeout_.Start(queue_, environment_.write_timeout,
                       [call = shared_from_this()] { call->OnWriteTimeout(); });
}

// A caller that does not take its response must not keep the memory for ever.
void Call::OnWriteTimeout() {
  spdlog::debug("{} from {}: response not taken within {} (--write-timeout)",
                MethodName(method_), context_.peer(),
                absl::FormatDuration(environment_.write_timeout));
  context_.TryCancel();
}

void Call::Fail(const absl::Status& status) {
  spdlog::debug("{} from {}: {}", MethodName(method_), context_.peer(),
                status.ToString());
  stream_.Finish(
      ToGrpcStatus(status),
      reply_tag_.Arm([call = shared_from_this()](bool) { call->OnReplied(); }));
}

// Only now: a reply that its caller does not read keeps its memory.
void Call::OnReplied() {
  write_timeout_.Stop();
  ReleaseMemory();
  LeaveAdmission();
}

void Call::OnOver() {
  if (!context_.IsCancelled()) return;
  cancelled_ = true;
  environment_.reading_slots.Leave(this);
  environment_.queued_bytes.Leave(this);
  environment_.workers.EndWaiting(connection_, &cancelled_);
}

void Call::ReleaseReadingSlot() {
  if (!std::exchange(has_reading_slot_, false)) return;
  environment_.reading_slots.Release(connection_, 1);
}

void Call::ReleaseMemory() {
  const std::int64_t bytes = std::exchange(queued_bytes_, 0);
  if (bytes > 0) environment_.queued_bytes.Release(connection_, bytes);
}

void Call::LeaveAdmission() {
  if (!std::exchange(in_flight_, false)) return;
  environment_.admission.Answered(connection_);
}

}  // namespace groupnorm
