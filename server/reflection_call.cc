#include "server/reflection_call.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/admission.h"
#include "server/connection.h"
#include "server/grpc_status.h"
#include "server/parse_message.h"
#include "server/reflection.h"

namespace groupnorm {
namespace {

// Longest question. A name is far shorter, and the answer repeats the question.
constexpr std::size_t kMaxQuestionBytes = 4096;

}  // namespace

void ReflectionCall::Await(ReflectionService::Method method,
                           ReflectionEnvironment& environment,
                           grpc::ServerCompletionQueue* queue) {
  ServedCall::Await(
      std::make_shared<ReflectionCall>(method, environment, queue));
}

ReflectionCall::ReflectionCall(ReflectionService::Method method,
                               ReflectionEnvironment& environment,
                               grpc::ServerCompletionQueue* queue)
    : ServedCall(environment.calls, queue),
      method_(method),
      environment_(environment),
      stream_(&context()) {}

void ReflectionCall::Request(void* tag) {
  environment_.service.RequestCall(method_, &context(), &stream_, queue(), tag);
}

void ReflectionCall::OnCalled() {
  const std::shared_ptr<OpenStream> self(shared_from_this(), this);
  if (absl::Status entered =
          environment_.streams.Enter(self, ConnectionOf(context()));
      !entered.ok()) {
    End(std::move(entered));
    return;
  }
  Read();
  // The phase may have changed before the streams knew this one.
  EndIfClosing();
}

void ReflectionCall::Read() {
  std::function<void(bool)> asked = Event(&ReflectionCall::OnQuestion);
  Begin(question_tag_, std::move(asked),
        [this](void* tag) { stream_.Read(&question_, tag); });
}

// Not ok: the caller has no further question, or it is gone.
void ReflectionCall::OnQuestion(bool ok) {
  grpc::ByteBuffer message;  // Let go of however this ends.
  message.Swap(&question_);
  const std::size_t bytes = ok ? message.Length() : 0;
  if (bytes > kMaxQuestionBytes) {
    End(absl::InvalidArgumentError(absl::StrCat(
        "request: ", bytes, " bytes, expected at most ", kMaxQuestionBytes)));
    return;
  }
  // What is no question ends the stream as gRPC ends it.
  grpc::reflection::v1alpha::ServerReflectionRequest question;
  if (!ok || !ParseMessage(message, question)) {
    End(absl::OkStatus());
    return;
  }
  const auto answer = DescribeServices(question);
  std::function<void(bool)> answered = Event(&ReflectionCall::OnAnswered);
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    answering_ = true;
  }
  Begin(answer_tag_, std::move(answered),
        [&](void* tag) { stream_.Write(answer, tag); });
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
  Guard([this] { EndIfClosing(); });
}

void ReflectionCall::OnDisplaced(const absl::Status& status) {
  Guard([&] { End(status); });
}

void ReflectionCall::EndIfClosing() {
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
  const grpc::Status end = ToGrpcStatus(status);
  std::function<void(bool)> ended = Event(&ReflectionCall::OnEnded);
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (answering_) {
      end_ = std::move(status);
      return;
    }
    ended_ = true;
  }
  Begin(end_tag_, std::move(ended),
        [&](void* tag) { stream_.Finish(end, tag); });
}

}  // namespace groupnorm
