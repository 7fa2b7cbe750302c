#include "server/reflection_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/admission.h"
#include "server/connection.h"
#include "server/grpc_status.h"
#include "server/reflection.h"

namespace groupnorm {
namespace {

// Longest question. A name is far shorter, and the answer repeats the question.
constexpr std::size_t kMaxQuestionBytes = 4096;

}  // namespace

void ReflectionCall::Await(ReflectionService::Method method,
                           ReflectionEnvironment& environment,
                           grpc::ServerCompletionQueue* queue) {
  const auto call =
      std::make_shared<ReflectionCall>(method, environment, queue);
  call->context_.AsyncNotifyWhenDone(
      call->over_tag_.Arm([call](bool) { call->OnOver(); }));
  environment.service.RequestCall(
      method, &call->context_, &call->stream_, queue,
      call->headers_tag_.Arm([call](bool ok) { call->OnHeaders(ok); }));
}

ReflectionCall::ReflectionCall(ReflectionService::Method method,
                               ReflectionEnvironment& environment,
                               grpc::ServerCompletionQueue* queue)
    : member_(environment.calls),
      method_(method),
      environment_(environment),
      queue_(queue),
      stream_(&context_) {}

void ReflectionCall::OnHeaders(bool ok) {
  if (!ok) {
    // The server has shut down before a caller came: gRPC then does not give
    // back the tag that says that the call is over.
    over_tag_.Disarm();
    return;
  }
  Await(method_, environment_, queue_);
  if (absl::Status entered = environment_.streams.Enter(shared_from_this(),
                                                        ConnectionOf(context_));
      !entered.ok()) {
    End(std::move(entered));
    return;
  }
  Read();
  // The phase may have changed before the streams knew this one.
  OnPhase();
}

void ReflectionCall::Read() {
  stream_.Read(&question_,
               question_tag_.Arm([call = shared_from_this()](bool ok) {
                 call->OnQuestion(ok);
               }));
}

// Not ok: the caller has no further question, or it is gone.
void ReflectionCall::OnQuestion(bool ok) {
  const std::size_t bytes = ok ? question_.ByteSizeLong() : 0;
  if (!ok || bytes > kMaxQuestionBytes) {
    End(ok ? absl::InvalidArgumentError(
                 absl::StrCat("request: ", bytes, " bytes, expected at most ",
                              kMaxQuestionBytes))
           : absl::OkStatus());
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    answering_ = true;
  }
  stream_.Write(DescribeServices(question_),
                answer_tag_.Arm([call = shared_from_this()](bool written) {
                  call->OnAnswered(written);
                }));
}

void ReflectionCall::OnAnswered(bool ok) {
  std::optional<absl::Status> end;
  {
    absl::MutexLock lock(&mutex_);
    answering_ = false;
    if (!ok) ended_ = true;
    if (ended_) return;
    end = std::exchange(end_, std::nullopt);
  }
  if (end.has_value()) {
    End(*std::move(end));
  } else {
    Read();
  }
}

void ReflectionCall::OnPhase() {
  if (environment_.streams.phase() == ServerPhase::kClosing) {
    End(DrainingError());
  }
}

// Answered, cancelled, or its connection is gone.
void ReflectionCall::OnOver() {
  environment_.streams.Leave(this);
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void ReflectionCall::End(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (answering_) {
      end_ = std::move(status);
      return;
    }
    ended_ = true;
  }
  stream_.Finish(ToGrpcStatus(status),
                 end_tag_.Arm([call = shared_from_this()](bool) {}));
}

}  // namespace groupnorm
