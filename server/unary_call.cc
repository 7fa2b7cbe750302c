#include "server/unary_call.h"

#include <spdlog/spdlog.h>

#include <functional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/grpc_status.h"

namespace groupnorm {

UnaryCall::UnaryCall(const char* method_name, CallCount& calls,
                     grpc::ServerCompletionQueue* queue,
                     absl::Duration write_timeout)
    : ServedCall(calls, queue),
      method_name_(method_name),
      write_timeout_(write_timeout) {}

void UnaryCall::Respond(absl::FunctionRef<void(void* tag)> write) {
  std::function<void(bool)> written = Event(&UnaryCall::OnWritten);
  std::function<void()> expired = Event(&UnaryCall::OnWriteTimeout);
  answered_ = true;
  if (!Begin(answer_tag_, std::move(written), write)) return;
  answer_timeout_.Start(queue(), write_timeout_, std::move(expired));
}

void UnaryCall::Fail(const absl::Status& status) {
  LogAtDebug([&] { return status.ToString(); });
  const grpc::Status end = ToGrpcStatus(status);
  Respond([&](void* tag) { Finish(end, tag); });
}

void UnaryCall::LogAtDebug(absl::FunctionRef<std::string()> text) {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  spdlog::debug("{} from {}: {}", method_name_, context().peer(), text());
}

void UnaryCall::OnFailure(const absl::Status& status) {
  if (answered_) {
    // A step that was to end it has failed, if any.
    context().TryCancel();
    return;
  }
  Fail(status);
}

void UnaryCall::OnWritten(bool /*ok*/) {
  answer_timeout_.Stop();
  OnAnswered();
}

void UnaryCall::OnWriteTimeout() {
  // Afterwards the peer is not known; also where a line takes too much memory.
  const absl::Cleanup end = [this] { EndUnread(); };
  LogAtDebug([this] {
    return absl::StrCat("answer not taken within ",
                        absl::FormatDuration(write_timeout_),
                        " (--write-timeout)");
  });
}

}  // namespace groupnorm
