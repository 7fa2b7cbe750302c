#include "server/served_call.h"

#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/guarded.h"

namespace groupnorm {
namespace {

// How long a queue's thread lets others free memory.
constexpr absl::Duration kUntilThereIsMemory = absl::Milliseconds(10);

}  // namespace

ServedCall::ServedCall(CallCount& calls, grpc::ServerCompletionQueue* queue)
    : member_(calls), queue_(queue) {}

void ServedCall::Await(const std::shared_ptr<ServedCall>& call) {
  std::function<void(bool)> over = call->Event(&ServedCall::OnDone);
  std::function<void(bool)> headers = call->Event(&ServedCall::OnHeaders);
  call->context_.AsyncNotifyWhenDone(call->over_tag_.Arm(std::move(over)));
  try {
    call->Request(call->headers_tag_.Arm(std::move(headers)));
  } catch (...) {
    call->over_tag_.Disarm();
    call->headers_tag_.Disarm();
    throw;
  }
}

void ServedCall::Guard(absl::FunctionRef<void()> step) {
  const absl::Status status = RunGuarded([&] {
    step();
    return absl::OkStatus();
  });
  if (status.ok()) return;
  const absl::Status told = RunGuarded([&] {
    OnFailure(status);
    return absl::OkStatus();
  });
  if (!told.ok()) context_.TryCancel();
}

void ServedCall::OnHeaders(bool ok) {
  if (!ok) {
    // The server has shut down before a caller came: gRPC then does not give
    // back the tag that says that the call is over.
    over_tag_.Disarm();
    return;
  }
  // Without a call that waits for it, no caller would ever be heard again.
  const auto await_next = [this] {
    AwaitNext();
    return absl::OkStatus();
  };
  while (!RunGuarded(await_next).ok()) absl::SleepFor(kUntilThereIsMemory);
  OnCalled();
}

void ServedCall::OnDone(bool /*ok*/) { OnOver(); }

}  // namespace groupnorm
