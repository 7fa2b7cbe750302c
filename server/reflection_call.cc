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
    if (ended_ || end_.has_value()) return;
    answering_ = true;
  }
  if (Begin(answer_tag_, std::move(answered),
            [&](void* tag) { stream_.Write(answer, tag); })) {
    return;
  }
  // The call is cancelled, and nothing ends the answer.
  {
    absl::MutexLock lock(&mutex_);
    answering_ = false;
    ended_ = true;
  }
  end_timeout_.Stop();
}

void ReflectionCall::OnAnswered(bool ok) {
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    answering_ = false;
    if (!ok) ended_ = true;
    more = !ended_ && !end_.has_value();
  }
  if (more) {
    Read();
  } else {
    Finish();
  }
}

void ReflectionCall::OnPhase() {
  Guard([this] { EndIfClosing(); });
}

void ReflectionCall::OnDisplaced(const absl::Status& status) {
  Guard([&] { End(status); });
  // Its place is another's: an answer that its caller does not take goes too.
  bool answering = false;
  {
    absl::MutexLock lock(&mutex_);
    answering = answering_;
  }
  if (answering) context().TryCancel();
}

void ReflectionCall::OnFailure(const absl::Status& status) {
  bool ending = false;
  {
    absl::MutexLock lock(&mutex_);
    ending = ended_ || end_.has_value();
  }
  if (!ending) {
    End(status);
    return;
  }
  // The step that was to end it has failed, and the call must not wait for its
  // timeout.
  end_timeout_.Stop();
  EndUnread();
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
  std::function<void()> expired = Event(&ReflectionCall::OnEndTimeout);
  bool answering = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || end_.has_value()) return;
    end_ = std::move(status);
    answering = answering_;
  }
  // A caller that takes neither an answer nor the end must not keep its call.
  end_timeout_.Start(queue(), environment_.write_timeout, std::move(expired));
  if (!answering) Finish();
}

// Says what ends the stream, where it is not over already.
void ReflectionCall::Finish() {
  std::function<void(bool)> ended = Event(&ReflectionCall::OnEnded);
  std::optional<grpc::Status> end;
  {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(ended_, true)) end = ToGrpcStatus(*end_);
  }
  if (!end.has_value() || !Begin(end_tag_, std::move(ended), [&](void* tag) {
        stream_.Finish(*end, tag);
      })) {
    end_timeout_.Stop();
  }
}

}  // namespace groupnorm
