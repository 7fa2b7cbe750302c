#include "server/info_call.h"

#include <functional>
#include <utility>

#include "server/grpc_status.h"

namespace groupnorm {

void InfoCall::Await(InfoEnvironment& environment,
                     grpc::ServerCompletionQueue* queue) {
  ServedCall::Await(std::make_shared<InfoCall>(environment, queue));
}

InfoCall::InfoCall(InfoEnvironment& environment,
                   grpc::ServerCompletionQueue* queue)
    : ServedCall(environment.calls, queue),
      environment_(environment),
      stream_(&context()) {}

void InfoCall::Request(void* tag) {
  environment_.service.RequestInfoCall(&context(), &stream_, queue(), tag);
}

void InfoCall::OnCalled() {
  const absl::Status admission = environment_.admission.CheckNotDraining();
  if (!admission.ok()) {
    AddRetryPushback(environment_.admission.Pushback(), context());
    End(admission);
    return;
  }
  const v1::GetServerInfoResponse response = environment_.info.Describe();
  std::function<void(bool)> replied = Event(&InfoCall::OnReplied);
  // A caller that does not take its answer must not keep the call for ever.
  std::function<void()> expired = Event(&InfoCall::OnWriteTimeout);
  answered_ = true;
  if (!Begin(reply_tag_, std::move(replied), [&](void* tag) {
        stream_.WriteAndFinish(response, grpc::WriteOptions(), grpc::Status::OK,
                               tag);
      })) {
    return;
  }
  write_timeout_.Start(queue(), environment_.write_timeout, std::move(expired));
}

void InfoCall::OnFailure(const absl::Status& status) {
  if (answered_) {
    context().TryCancel();
    return;
  }
  End(status);
}

void InfoCall::End(const absl::Status& status) {
  const grpc::Status end = ToGrpcStatus(status);
  std::function<void(bool)> replied = Event(&InfoCall::OnReplied);
  std::function<void()> expired = Event(&InfoCall::OnWriteTimeout);
  answered_ = true;
  if (!Begin(reply_tag_, std::move(replied),
             [&](void* tag) { stream_.Finish(end, tag); })) {
    return;
  }
  write_timeout_.Start(queue(), environment_.write_timeout, std::move(expired));
}

}  // namespace groupnorm
