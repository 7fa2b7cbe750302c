#include "server/call.h"

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
  ServedCall::Await(std::make_shared<Call>(method, environment, queue));
}

Call::Call(GroupNormService::Method method, CallEnvironment& environment,
           grpc::ServerCompletionQueue* queue)
    : UnaryCall(MethodName(method), environment.calls, queue,
                environment.write_timeout),
      method_(method),
      environment_(environment),
      stream_(&context()) {}

// What a call that was never answered still has, gives it back here.
Call::~Call() {
  prepared_ = {};
  ReleaseReadingSlot();
  ReleaseMemory();
  LeaveAdmission();
}

void Call::Request(void* tag) {
  environment_.service.RequestTensorCall(method_, &context(), &stream_, queue(),
                                         tag);
}

void Call::OnCalled() {
  connection_ = ConnectionOf(context());
  const absl::Status admission = environment_.admission.Admit(
      connection_, absl::FromChrono(context().deadline()));
  if (!admission.ok()) {
    if (absl::IsUnavailable(admission)) {
      AddRetryPushback(environment_.admission.Pushback(), context());
    }
    Fail(admission);
    return;
  }
  in_flight_ = true;
  LogAtDebug([] { return "admitted"; });
  if (environment_.reading_slots.TakeOrWait(connection_, this, 1,
                                            Event(&Call::OnReadingSlot))) {
    OnReadingSlot();
  } else if (cancelled_) {
    // OnOver() may have come before the wait began.
    environment_.reading_slots.Leave(this);
  }
}

void Call::OnReadingSlot() {
  has_reading_slot_ = true;
  std::function<void(bool)> read = Event(&Call::OnRead);
  std::function<void()> expired = Event(&Call::OnReadTimeout);
  reading_ = true;
  if (!Begin(read_tag_, std::move(read),
             [this](void* tag) { stream_.Read(&request_, tag); })) {
    return;
  }
  read_timeout_.Start(queue(), environment_.read_timeout, std::move(expired));
}

void Call::OnRead(bool ok) {
  reading_ = false;
  received_ = absl::Now();
  read_timeout_.Stop();
  if (answered()) {
    // It came too slowly. What has arrived is let go of now.
    request_.Clear();
    ReleaseReadingSlot();
    return;
  }
  // Not ok: the caller ended without a message, or the call is over (cancelled,
  // or gRPC refused a message that is too large): then nobody sees this answer.
  const absl::Status status =
      ok ? RunGuarded([this] { return Decode(); })
         : absl::InvalidArgumentError(absl::StrCat(
               "request: missing, expected a ", method_name(), "Request"));
  if (!status.ok()) {
    ReleaseReadingSlot();
    Fail(status);
    return;
  }
  TakeMemory();
}

// On the same thread as OnRead(), which has not run yet.
void Call::OnReadTimeout() {
  // Answering ends the call, and so the reading of its body.
  Fail(ReadTimeoutError(environment_.read_timeout));
}

absl::Status Call::Decode() {
  grpc::ByteBuffer request;  // Let go of however this ends.
  request.Swap(&request_);
  MessageSlices message(request);
  request.Clear();
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
          connection_, this, prepared_.memory_bytes, Event(&Call::OnMemory))) {
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
       .deadline = absl::FromChrono(context().deadline()),
       .cancelled = &cancelled_,
       .connection = connection_,
       .timing = &timing_,
       .done = Event(&Call::OnExecuted)});
}

void Call::OnExecuted(const absl::Status& status) {
  if (timing_.first_task != absl::InfiniteFuture()) {
    LogAtDebug([this] {
      return absl::StrCat(
          "first task ",
          absl::ToInt64Microseconds(timing_.first_task - received_),
          " us after its last byte, longest task ",
          absl::ToInt64Microseconds(timing_.longest_task), " us");
    });
  }
  if (status.ok()) {
    Encode();
  } else {
    execution_.reset();
    Fail(status);
  }
  // Still held where the execution ended before everything was gathered.
  ReleaseReadingSlot();
}

void Call::Encode() {
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
  Respond([&](void* tag) {
    stream_.WriteAndFinish(response, grpc::WriteOptions(), grpc::Status::OK,
                           tag);
  });
}

void Call::Finish(const grpc::Status& status, void* tag) {
  stream_.Finish(status, tag);
}

// Only now: a response that its caller does not read keeps its memory.
void Call::OnAnswered() {
  ReleaseMemory();
  LeaveAdmission();
}

void Call::OnOver() {
  if (!context().IsCancelled()) return;
  cancelled_ = true;
  environment_.reading_slots.Leave(this);
  environment_.queued_bytes.Leave(this);
  environment_.workers.EndWaiting(connection_, &cancelled_);
}

// No operation is under way but the last, or the read that took too long: what
// a step needs memory for, it takes before it starts one.
void Call::OnFailure(const absl::Status& status) {
  if (!answered()) {
    prepared_ = {};
    execution_.reset();
    // Otherwise what is being read still needs its slot, and OnRead() follows.
    if (!reading_) ReleaseReadingSlot();
  }
  UnaryCall::OnFailure(status);
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
