#include "server/served_call.h"

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/accepted_sockets.h"
#include "server/guarded.h"

namespace groupnorm {
namespace {

// How long others are given to free memory for the next call.
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

bool ServedCall::Begin(CompletionTag& tag, std::function<void(bool)> event,
                       absl::FunctionRef<void(void* tag)> start) {
  void* const armed = tag.Arm(std::move(event));
  const absl::Status begun = RunGuarded([&] {
    start(armed);
    return absl::OkStatus();
  });
  if (begun.ok()) return true;
  tag.Disarm();
  context_.TryCancel();
  return false;
}

void ServedCall::EndUnread() {
  std::string peer;  // Once the call is cancelled, gRPC does not know it.
  const absl::Status known = RunGuarded([&] {
    peer = context_.peer();
    return absl::OkStatus();
  });
  context_.TryCancel();
  if (known.ok()) CloseIfPeerDoesNotRead(peer);
}

void ServedCall::OnHeaders(bool ok) {
  if (!ok) {
    // The server has shut down before a caller came: gRPC then does not give
    // back the tag that says that the call is over.
    over_tag_.Disarm();
    return;
  }
  AwaitNextOrTryAgain();
  OnCalled();
}

// Without a call that waits for it, no caller would ever be heard again. The
// queue goes on meanwhile, since what it serves is what frees memory.
void ServedCall::AwaitNextOrTryAgain() {
  const absl::Status awaited = RunGuarded([this] {
    AwaitNext();
    return absl::OkStatus();
  });
  if (awaited.ok()) return;
  // None of this takes memory.
  self_ = shared_from_this();
  again_.Set(queue_, absl::ToChronoTime(absl::Now() + kUntilThereIsMemory),
             again_tag_.Arm([this](bool /*in_time*/) {
               const std::shared_ptr<ServedCall> self = std::move(self_);
               AwaitNextOrTryAgain();
             }));
}

void ServedCall::OnDone(bool /*ok*/) { OnOver(); }

}  // namespace groupnorm
