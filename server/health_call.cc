#include "server/health_call.h"

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/admission.h"
#include "server/connection.h"
#include "server/grpc_status.h"
#include "server/parse_message.h"

namespace groupnorm {
namespace {

constexpr char kServiceName[] = "groupnorm.v1.GroupNormService";

// Longest request. The names that are known are far shorter, and a watch keeps
// its own for as long as it is open.
constexpr std::size_t kMaxRequestBytes = 4096;

absl::Status UnknownService(const std::string& service) {
  return absl::NotFoundError(absl::StrCat(
      "service: '", service, "', expected '' or '", kServiceName, "'"));
}

}  // namespace

void HealthCall::Await(HealthService::Method method,
                       HealthEnvironment& environment,
                       grpc::ServerCompletionQueue* queue) {
  ServedCall::Await(std::make_shared<HealthCall>(method, environment, queue));
}

HealthCall::HealthCall(HealthService::Method method,
                       HealthEnvironment& environment,
                       grpc::ServerCompletionQueue* queue)
    : ServedCall(environment.calls, queue),
      method_(method),
      environment_(environment),
      streams_(method == HealthService::kCheck ? environment.checks
                                               : environment.watches),
      stream_(&context()) {}

void HealthCall::Request(void* tag) {
  environment_.service.RequestCall(method_, &context(), &stream_, queue(), tag);
}

void HealthCall::OnCalled() {
  const std::shared_ptr<OpenStream> self(shared_from_this(), this);
  if (absl::Status entered = streams_.Enter(self, ConnectionOf(context()));
      !entered.ok()) {
    Fail(std::move(entered));
    return;
  }
  std::function<void(bool)> requested = Event(&HealthCall::OnRequest);
  std::function<void()> expired = Event(&HealthCall::OnReadTimeout);
  if (!Begin(request_tag_, std::move(requested),
             [this](void* tag) { stream_.Read(&message_, tag); })) {
    return;
  }
  read_timeout_.Start(queue(), environment_.read_timeout, std::move(expired));
  // The phase may have changed before the streams knew this one.
  Answer();
}

// Also where the call has been answered already: then this changes nothing.
void HealthCall::OnRequest(bool ok) {
  read_timeout_.Stop();
  grpc::ByteBuffer message;  // Let go of however this ends.
  message.Swap(&message_);
  if (const std::size_t bytes = ok ? message.Length() : 0;
      bytes > kMaxRequestBytes) {
    Fail(absl::InvalidArgumentError(absl::StrCat(
        "request: ", bytes, " bytes, expected at most ", kMaxRequestBytes)));
    return;
  }
  if (!ok || !ParseMessage(message, request_)) {
    Fail(absl::InvalidArgumentError(
        "request: missing or not valid, expected a HealthCheckRequest"));
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    has_request_ = true;
  }
  Answer();
}

void HealthCall::OnReadTimeout() {
  Fail(ReadTimeoutError(environment_.read_timeout));
}

void HealthCall::OnPhase() {
  Guard([this] { Answer(); });
}

void HealthCall::OnDisplaced(const absl::Status& status) {
  Guard([&] { Fail(status); });
}

void HealthCall::OnTold(bool ok) {
  bool ended = false;
  {
    absl::MutexLock lock(&mutex_);
    telling_ = false;
    if (!ok) ended_ = true;
    ended = ended_;
  }
  if (ended) {
    write_timeout_.Stop();
  } else {
    Answer();
  }
}

// Answered, cancelled, or its connection is gone.
void HealthCall::OnOver() {
  streams_.Leave(this);
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void HealthCall::Fail(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    fault_ = std::move(status);
  }
  Answer();
}

void HealthCall::Answer() {
  std::function<void(bool)> told = Event(&HealthCall::OnTold);
  std::function<void()> expired = Event(&HealthCall::OnWriteTimeout);
  Step step;
  grpc::Status end;
  {
    absl::MutexLock lock(&mutex_);
    if (telling_ || ended_) return;
    step = NextStep();
    if (step.end.has_value()) end = ToGrpcStatus(*step.end);
    telling_ = step.tell.has_value() || step.end.has_value();
    if (!telling_) return;
    told_ = step.tell;
    ended_ = step.end.has_value();
  }
  Response response;
  if (step.tell.has_value()) response.set_status(*step.tell);
  const bool begun = Begin(tell_tag_, std::move(told), [&](void* tag) {
    if (!step.end.has_value()) {
      stream_.Write(response, tag);
    } else if (step.tell.has_value()) {
      stream_.WriteAndFinish(response, grpc::WriteOptions(), end, tag);
    } else {
      stream_.Finish(end, tag);
    }
  });
  if (!begun || !step.end.has_value()) return;
  // A caller that does not take its answer must not keep its place.
  write_timeout_.Start(queue(), environment_.write_timeout, std::move(expired));
}

HealthCall::Step HealthCall::NextStep() const {
  if (!fault_.ok()) return {.end = fault_};
  const ServerPhase phase = streams_.phase();
  const Step close = {.end = DrainingError()};
  if (!has_request_) return phase == ServerPhase::kClosing ? close : Step();
  const Response::ServingStatus status = StatusIn(phase);
  if (method_ == HealthService::kCheck) {
    if (status == Response::SERVICE_UNKNOWN) {
      return {.end = UnknownService(request_.service())};
    }
    return {.tell = status, .end = absl::OkStatus()};
  }
  if (told_ != status) return {.tell = status};
  return phase == ServerPhase::kClosing ? close : Step();
}

HealthCall::Response::ServingStatus HealthCall::StatusIn(
    ServerPhase phase) const {
  const std::string& service = request_.service();
  if (!service.empty() && service != kServiceName) {
    return Response::SERVICE_UNKNOWN;
  }
  return phase == ServerPhase::kServing ? Response::SERVING
                                        : Response::NOT_SERVING;
}

}  // namespace groupnorm
