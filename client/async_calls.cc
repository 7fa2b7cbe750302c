#include "client/async_calls.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace groupnorm {

AsyncCalls::AsyncCalls(Connection& connection)
    : connection_(connection), thread_([this] { Serve(); }) {}

AsyncCalls::~AsyncCalls() {
  CancelAll();
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &AsyncCalls::IsEmpty));
  }
  queue_.Shutdown();
  thread_.join();
}

std::shared_ptr<AsyncCallState> AsyncCalls::Start(
    absl::StatusOr<PreparedCall> prepared, const CallLimit& limit,
    Client::Callback callback) {
  auto state = std::make_shared<AsyncCallState>();
  state->callback = std::move(callback);
  if (prepared.ok()) {
    state->accept = std::move(prepared->accept);
    state->call.emplace(connection_, prepared->method, prepared->request, limit,
                        queue_,
                        /*tag=*/state.get());
  } else {
    state->status = prepared.status();
  }
  const bool ending = Add(state);
  if (!state->call) {
    state->refusal.Set(&queue_, absl::ToChronoTime(absl::Now()), state.get());
    return state;
  }
  // Started by the callback of one that was cancelled.
  if (ending) state->call->Cancel();
  state->call->Start();
  return state;
}

bool AsyncCalls::Add(const StatePointer& state) {
  absl::MutexLock lock(&mutex_);
  in_flight_.emplace(state.get(), state);
  return ending_;
}

AsyncCalls::StatePointer AsyncCalls::Find(void* tag) {
  absl::MutexLock lock(&mutex_);
  return in_flight_.at(tag);
}

void AsyncCalls::Remove(void* tag) {
  absl::MutexLock lock(&mutex_);
  in_flight_.erase(tag);
}

bool AsyncCalls::IsEmpty() const { return in_flight_.empty(); }

void AsyncCalls::CancelAll() {
  std::vector<StatePointer> calls;
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    for (const auto& [tag, state] : in_flight_) calls.push_back(state);
  }
  for (const StatePointer& state : calls) {
    if (state->call) state->call->Cancel();
  }
}

void AsyncCalls::Serve() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const StatePointer state = Find(tag);
    if (state->call) {
      if (!state->call->Advance()) continue;
      absl::StatusOr<grpc::ByteBuffer> response = state->call->TakeResult();
      state->status =
          response.ok() ? state->accept(*response) : response.status();
    }
    if (state->callback) state->callback(state->status);
    // What it holds may be what its owner waits for.
    state->callback = nullptr;
    Remove(tag);
    state->over.Notify();
  }
}

}  // namespace groupnorm
