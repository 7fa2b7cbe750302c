#include "client/server_probe.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/grpc_channel.h"
#include "client/server_info.h"
#include "groupnorm/v1/groupnorm.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace groupnorm {

namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kService[] = "groupnorm.v1.GroupNormService";

// A watch is to notice within a second that a server is back.
constexpr int kReconnectBackoffMs = 1'000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectBackoffMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectBackoffMs);
  return MakeGrpcChannel(address, arguments);
}

HealthCheckRequest AboutTheService() {
  HealthCheckRequest request;
  request.set_service(kService);
  return request;
}

std::string HealthText(const HealthCheckResponse& response) {
  return HealthCheckResponse::ServingStatus_Name(response.status());
}

}  // namespace

struct ServerProbe::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : health(channel), service(channel) {}

  grpc::health::v1::Health::Stub health;
  v1::GroupNormService::Stub service;

  /// A failure in the client library's words.
  static absl::Status StatusOf(const grpc::Status& status,
                               const std::string& address,
                               const std::string& within) {
    const auto code = static_cast<absl::StatusCode>(status.error_code());
    switch (code) {
      case absl::StatusCode::kUnavailable:
        return absl::Status(code, absl::StrCat("no answer from ", address, ": ",
                                               status.error_message()));
      case absl::StatusCode::kDeadlineExceeded:
        return absl::Status(code,
                            absl::StrCat("no answer from ", address, within));
      default:
        return absl::Status(code, status.error_message());
    }
  }
};

ServerProbe::ServerProbe(const std::string& address)
    : address_(address),
      stubs_(std::make_unique<Stubs>(MakeChannel(address))) {}

ServerProbe::~ServerProbe() = default;

absl::StatusOr<ServerAnswer> ServerProbe::Ask(absl::Duration timeout) {
  const auto deadline = absl::ToChronoTime(absl::Now() + timeout);
  const std::string within =
      absl::StrCat(" within ", absl::FormatDuration(timeout));
  grpc::ClientContext check;
  check.set_deadline(deadline);
  HealthCheckResponse health;
  absl::Status status =
      Stubs::StatusOf(stubs_->health.Check(&check, AboutTheService(), &health),
                      address_, within);
  if (!status.ok()) return status;
  grpc::ClientContext get;
  get.set_deadline(deadline);
  v1::GetServerInfoResponse response;
  status = Stubs::StatusOf(stubs_->service.GetServerInfo(
                               &get, v1::GetServerInfoRequest(), &response),
                           address_, within);
  if (!status.ok()) return status;
  return ServerAnswer{HealthText(health), InfoOf(response)};
}

absl::Status ServerProbe::Watch(
    const std::function<bool(const std::string&)>& next) {
  grpc::ClientContext context;
  const auto stream = stubs_->health.Watch(&context, AboutTheService());
  HealthCheckResponse response;
  while (stream->Read(&response)) {
    if (!next(HealthText(response))) {
      context.TryCancel();
      stream->Finish();
      return absl::OkStatus();
    }
  }
  absl::Status status = Stubs::StatusOf(stream->Finish(), address_, "");
  if (!status.ok()) return status;
  return absl::UnavailableError(absl::StrCat("no answer from ", address_,
                                             ": the server ended the watch"));
}

}  // namespace groupnorm
