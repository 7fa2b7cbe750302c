#include "client/outgoing_call.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace groupnorm {

namespace {

// A server whose memory for messages runs out resets streams, those of innocent
// callers too. Whose message is itself too large for it would cost them their
// calls again and again.
constexpr int kMaxAttemptsRefusedForMemory = 5;

std::optional<absl::Duration> PushbackOf(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find("grpc-retry-pushback-ms");
  if (found == metadata.end()) return std::nullopt;
  return ParsePushback({found->second.data(), found->second.size()});
}

absl::Status CancelledByTheCaller() {
  return absl::CancelledError("cancelled by the caller");
}

double Draw() {
  absl::InsecureBitGen generator;
  return absl::Uniform(generator, 0.0, 1.0);
}

}  // namespace

CallLimit::CallLimit(absl::Duration timeout)
    : timeout_(timeout), deadline_(absl::Now() + timeout) {}

absl::Status CallLimit::Validate() const {
  if (timeout_ > absl::ZeroDuration() && timeout_ < absl::InfiniteDuration()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("timeout: ", absl::FormatDuration(timeout_),
                   ", expected a positive and finite duration"));
}

OutgoingCall::OutgoingCall(Connection& connection, const char* method,
                           const grpc::ByteBuffer& request,
                           const CallLimit& limit, grpc::CompletionQueue& queue,
                           void* tag)
    : connection_(connection),
      method_(method),
      limit_(limit),
      queue_(queue),
      tag_(tag),
      request_(request) {}

void OutgoingCall::Start() {
  absl::MutexLock lock(&mutex_);
  StartAttempt();
}

bool OutgoingCall::Advance() {
  absl::MutexLock lock(&mutex_);
  if (attempt_ != nullptr) {
    EndAttempt();
  } else {
    EndWait();
  }
  if (result_) request_.Clear();
  return result_.has_value();
}

void OutgoingCall::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (attempt_ != nullptr) attempt_->context.TryCancel();
  if (wait_) wait_->Cancel();
}

absl::StatusOr<grpc::ByteBuffer> OutgoingCall::TakeResult() {
  absl::MutexLock lock(&mutex_);
  return *std::move(result_);
}

void OutgoingCall::StartAttempt() {
  ++attempts_;
  attempt_ = std::make_unique<Attempt>();
  attempt_->deadline = std::min(
      limit_.deadline(), absl::Now() + connection_.retry.attempt_timeout);
  attempt_->context.set_deadline(absl::ToChronoTime(attempt_->deadline));
  if (cancelled_) attempt_->context.TryCancel();
  attempt_->reader = connection_.stub.PrepareUnaryCall(
      &attempt_->context, method_, request_, &queue_);
  attempt_->reader->StartCall();
  attempt_->reader->Finish(&attempt_->response, &attempt_->status, tag_);
}

void OutgoingCall::EndAttempt() {
  const std::unique_ptr<Attempt> attempt = std::move(attempt_);
  if (attempt->status.ok()) {
    connection_.budget.AddSuccess(took_token_);
    result_ = std::move(attempt->response);
    return;
  }
  if (cancelled_) {
    result_ = CancelledByTheCaller();
    return;
  }
  AttemptFailure failure = {
      // absl's codes are gRPC's.
      .code = static_cast<absl::StatusCode>(attempt->status.error_code()),
      .text = attempt->status.error_message(),
      .pushback = PushbackOf(attempt->context)};
  deadline_passed_ = failure.code == absl::StatusCode::kDeadlineExceeded &&
                     attempt->deadline == limit_.deadline();
  if (failure.code == absl::StatusCode::kResourceExhausted) {
    ++attempts_refused_for_memory_;
  }
  // Why the attempts before were in vain says more than that time ran out.
  if (!deadline_passed_ || IsFromServer(failure.text) || !failure_) {
    failure_ = std::move(failure);
  }
  if (MayTryAgain()) {
    Wait();
  } else {
    result_ = FinalError();
  }
}

bool OutgoingCall::MayTryAgain() const {
  return !deadline_passed_ && IsTransient(*failure_) &&
         attempts_ < connection_.retry.max_attempts &&
         attempts_refused_for_memory_ < kMaxAttemptsRefusedForMemory;
}

// Waits for the next attempt; ends the call where the deadline comes first.
void OutgoingCall::Wait() {
  const absl::Time end =
      absl::Now() + RetryDelay(attempts_, failure_->pushback, Draw());
  if (end >= limit_.deadline()) {
    result_ = FinalError();
    return;
  }
  wait_.emplace();
  wait_->Set(&queue_, absl::ToChronoTime(end), tag_);
}

void OutgoingCall::EndWait() {
  wait_.reset();
  if (cancelled_) {
    result_ = CancelledByTheCaller();
    return;
  }
  // A server that says when to come back has its own measure of what it bears.
  took_token_ = !failure_->pushback;
  if (took_token_ && !connection_.budget.Take(absl::Now())) {
    Wait();
    return;
  }
  ++connection_.retries;
  StartAttempt();
}

/// The one conversion of what gRPC reports. Texts of the server pass unchanged;
/// those that gRPC makes up where no answer came do not say whose it was.
absl::Status OutgoingCall::FinalError() const {
  const absl::StatusCode code = failure_->code;
  const bool timed_out = code == absl::StatusCode::kDeadlineExceeded;
  const bool no_answer = deadline_passed_ || timed_out ||
                         code == absl::StatusCode::kUnavailable ||
                         IsTransient(*failure_);
  if (!no_answer || IsFromServer(failure_->text)) {
    return absl::Status(code, failure_->text);
  }
  std::string text = absl::StrCat("no answer from ", connection_.address);
  if (deadline_passed_) {
    absl::StrAppend(&text, " within ", absl::FormatDuration(limit_.timeout()));
  }
  if (attempts_ > 1) absl::StrAppend(&text, " in ", attempts_, " attempts");
  if (!timed_out) {
    absl::StrAppend(&text, ": ", failure_->text);
  } else if (!deadline_passed_) {
    absl::StrAppend(&text, ", which had ",
                    absl::FormatDuration(connection_.retry.attempt_timeout),
                    attempts_ > 1 ? " each" : "");
  }
  if (deadline_passed_) return absl::DeadlineExceededError(text);
  // Too large for the server's memory, for all that is known.
  if (code == absl::StatusCode::kResourceExhausted) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::UnavailableError(text);
}

}  // namespace groupnorm
