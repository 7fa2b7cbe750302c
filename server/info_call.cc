#include "server/info_call.h"

#include "server/grpc_status.h"

namespace groupnorm {

void InfoCall::Await(InfoEnvironment& environment,
                     grpc::ServerCompletionQueue* queue) {
  const auto call = std::make_shared<InfoCall>(environment, queue);
  environment.service.RequestInfoCall(
      &call->context_, &call->stream_, queue,
      call->headers_tag_.Arm([call](bool ok) { call->OnHeaders(ok); }));
}

InfoCall::InfoCall(InfoEnvironment& environment,
                   grpc::ServerCompletionQueue* queue)
    : member_(environment.calls),
      environment_(environment),
      queue_(queue),
      stream_(&context_) {}

void InfoCall::OnHeaders(bool ok) {
  if (!ok) return;  // The server has shut down.
  Await(environment_, queue_);
  void* const reply_tag = reply_tag_.Arm([call = shared_from_this()](bool) {});
  const absl::Status admission = environment_.admission.CheckNotDraining();
  if (!admission.ok()) {
    AddRetryPushback(environment_.admission.Pushback(), context_);
    stream_.Finish(ToGrpcStatus(admission), reply_tag);
    return;
  }
  stream_.WriteAndFinish(environment_.info.Describe(), grpc::WriteOptions(),
                         grpc::Status::OK, reply_tag);
}

}  // namespace groupnorm
