#include "server/info_call.h"

#include <memory>

#include "server/grpc_status.h"

namespace groupnorm {

void InfoCall::Await(InfoEnvironment& environment,
                     grpc::ServerCompletionQueue* queue) {
  ServedCall::Await(std::make_shared<InfoCall>(environment, queue));
}

InfoCall::InfoCall(InfoEnvironment& environment,
                   grpc::ServerCompletionQueue* queue)
    : UnaryCall("GetServerInfo", environment.calls, queue,
                environment.write_timeout),
      environment_(environment),
      stream_(&context()) {}

void InfoCall::Request(void* tag) {
  environment_.service.RequestInfoCall(&context(), &stream_, queue(), tag);
}

void InfoCall::OnCalled() {
  const absl::Status admission = environment_.admission.CheckNotDraining();
  if (!admission.ok()) {
    AddRetryPushback(environment_.admission.Pushback(), context());
    Fail(admission);
    return;
  }
  const v1::GetServerInfoResponse response = environment_.info.Describe();
  Respond([&](void* tag) {
    stream_.WriteAndFinish(response, grpc::WriteOptions(), grpc::Status::OK,
                           tag);
  });
}

void InfoCall::Finish(const grpc::Status& status, void* tag) {
  stream_.Finish(status, tag);
}

}  // namespace groupnorm
