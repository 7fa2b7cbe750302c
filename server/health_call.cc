#include "server/health_call.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/admission.h"
#include "server/connection.h"
#include "server/grpc_status.h"

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
  const auto call = std::make_shared<HealthCall>(method, environment, queue);
  call->context_.AsyncNotifyWhenDone(
      call->over_tag_.Arm([call](bool) { call->OnOver(); }));
  environment.service.RequestCall(
      method, &call->context_, &call->stream_, queue,
      call->headers_tag_.Arm([call](bool ok) { call->OnHeaders(ok); }));
}

HealthCall::HealthCall(HealthService::Method method,
                       HealthEnvironment& environment,
                       grpc::ServerCompletionQueue* queue)
    : member_(environment.calls),
      method_(method),
      environment_(environment),
      streams_(method == HealthService::kCheck ? environment.checks
                                               : environment.watches),
      queue_(queue),
      stream_(&context_) {}

void HealthCall::OnHeaders(bool ok) {
  if (!ok) {
    // The server has shut down before a caller came: gRPC then does not give
    // back the tag that says that the call is over.
    over_tag_.Disarm();
    return;
  }
  Await(method_, environment_, queue_);
  if (absl::Status entered =
          streams_.Enter(shared_from_this(), ConnectionOf(context_));
      !entered.ok()) {
    Fail(std::move(entered));
    return;
  }
  stream_.Read(&request_,
               request_tag_.Arm([call = shared_from_this()](bool has_request) {
                 call->OnRequest(has_request);
               }));
  read_timeout_.Start(queue_, environment_.read_timeout,
                      [call = shared_from_this()] { call->OnReadTimeout(); });
  // The phase may have changed before the streams knew this one.
  Answer();
}

// Also where the call has been answered already: then this changes nothing.
void HealthCall::OnRequest(bool ok) {
  read_timeout_.Stop();
  if (!ok) {
    Fail(absl::InvalidArgumentError(
        "request: missing or not valid, expected a HealthCheckRequest"));
    return;
  }
  if (const std::size_t bytes = request_.ByteSizeLong();
      bytes > kMaxRequestBytes) {
    Fail(absl::InvalidArgumentError(absl::StrCat(
        "request: ", bytes, " bytes, expected at most ", kMaxRequestBytes)));
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

void HealthCall::OnPhase() { Answer(); }

void HealthCall::OnTold(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    telling_ = false;
    if (!ok) ended_ = true;
  }
  Answer();
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
  Step step;
  {
    absl::MutexLock lock(&mutex_);
    if (telling_ || ended_) return;
    step = NextStep();
    telling_ = step.tell.has_value() || step.end.has_value();
    if (!telling_) return;
    told_ = step.tell;
    ended_ = step.end.has_value();
  }
  void* const tag =
      tell_tag_.Arm([call = shared_from_this()](bool ok) { call->OnTold(ok); });
  Response response;
  if (step.tell.has_value()) response.set_status(*step.tell);
  if (!step.end.has_value()) {
    stream_.Write(response, tag);
  } else if (!step.tell.has_value()) {
    stream_.Finish(ToGrpcStatus(*step.end), tag);
  } else {
    stream_.WriteAndFinish(response, grpc::WriteOptions(),
                           ToGrpcStatus(*step.end), tag);
  }
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
