#include "groupnorm/client.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/support/byte_buffer.h>

#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/address.h"
#include "client/async_calls.h"
#include "client/connection.h"
#include "client/outgoing_call.h"
#include "client/prepared_call.h"

namespace groupnorm {

namespace {

absl::Status Validate(const RetryOptions& options) {
  if (options.max_attempts < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "retry.max_attempts: ", options.max_attempts, ", expected at least 1"));
  }
  if (options.attempt_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("retry.attempt_timeout: ",
                     absl::FormatDuration(options.attempt_timeout),
                     ", expected a positive duration"));
  }
  return absl::OkStatus();
}

}  // namespace

struct Client::Impl {
  explicit Impl(const ClientOptions& options)
      : timeout(options.timeout), connection(options) {}

  /// Makes a call on the caller's thread.
  absl::Status Run(absl::StatusOr<PreparedCall> prepared,
                   const CallLimit& limit);

  AsyncCalls& async_calls();

  const absl::Duration timeout;
  Connection connection;
  // Not absl's: what orders a wait for it is inside of the library, where
  // ThreadSanitizer does not see it.
  std::once_flag async_once;
  std::unique_ptr<AsyncCalls> async;  // Last: its calls use the connection.
};

absl::Status Client::Impl::Run(absl::StatusOr<PreparedCall> prepared,
                               const CallLimit& limit) {
  if (!prepared.ok()) return prepared.status();
  // A queue of its own: handing the response over from another thread would
  // cost a wake-up.
  grpc::CompletionQueue queue;
  OutgoingCall call(connection, prepared->method, prepared->request, limit,
                    queue, /*tag=*/nullptr);
  prepared->request.Clear();  // The call has its own reference.
  call.Start();
  void* tag = nullptr;
  bool ok = false;
  do {
    queue.Next(&tag, &ok);  // The deadline bounds it.
  } while (!call.Advance());
  const absl::StatusOr<grpc::ByteBuffer> response = call.TakeResult();
  return response.ok() ? prepared->accept(*response) : response.status();
}

AsyncCalls& Client::Impl::async_calls() {
  std::call_once(async_once,
                 [this] { async = std::make_unique<AsyncCalls>(connection); });
  return *async;
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Create(
    const ClientOptions& options) {
  absl::Status status = ValidateAddress(options.address);
  status.Update(CallLimit(options.timeout).Validate());
  status.Update(Validate(options.retry));
  if (!status.ok()) return status;
  return std::unique_ptr<Client>(new Client(std::make_unique<Impl>(options)));
}

absl::Status Client::Forward(const ForwardArguments& arguments,
                             const ForwardResults& results,
                             std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->timeout));
  if (absl::Status status = limit.Validate(); !status.ok()) return status;
  return impl_->Run(PrepareForward(arguments, results), limit);
}

absl::Status Client::Backward(const BackwardArguments& arguments,
                              const BackwardResults& results,
                              std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->timeout));
  if (absl::Status status = limit.Validate(); !status.ok()) return status;
  return impl_->Run(PrepareBackward(arguments, results), limit);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo(
    std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->timeout));
  if (absl::Status status = limit.Validate(); !status.ok()) return status;
  ServerInfo info;
  if (absl::Status status = impl_->Run(PrepareGetServerInfo(info), limit);
      !status.ok()) {
    return status;
  }
  return info;
}

AsyncCall Client::ForwardAsync(const ForwardArguments& arguments,
                               const ForwardResults& results, Callback callback,
                               std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->timeout));
  const absl::Status valid = limit.Validate();
  return AsyncCall(impl_->async_calls().Start(
      valid.ok() ? PrepareForward(arguments, results) : valid, limit,
      std::move(callback)));
}

AsyncCall Client::BackwardAsync(const BackwardArguments& arguments,
                                const BackwardResults& results,
                                Callback callback,
                                std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->timeout));
  const absl::Status valid = limit.Validate();
  return AsyncCall(impl_->async_calls().Start(
      valid.ok() ? PrepareBackward(arguments, results) : valid, limit,
      std::move(callback)));
}

std::int64_t Client::retries() const { return impl_->connection.retries; }

AsyncCall::AsyncCall(std::shared_ptr<AsyncCallState> state)
    : state_(std::move(state)) {}

absl::Status AsyncCall::Wait() const {
  state_->over.WaitForNotification();
  return state_->status;
}

bool AsyncCall::done() const { return state_->over.HasBeenNotified(); }

void AsyncCall::Cancel() const {
  if (state_->call) state_->call->Cancel();
}

}  // namespace groupnorm
