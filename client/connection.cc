#include "client/connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/time/clock.h"
#include "client/grpc_channel.h"

namespace groupnorm {

namespace {

constexpr char kServiceConfig[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": "groupnorm.v1.GroupNormService"}
})";

// While a server restarts, gRPC waits longer and longer between two attempts to
// connect, two minutes at last, and fails every call in between. Nobody wants
// to wait that long for a server that is back.
constexpr int kFirstReconnectBackoffMs = 200;
constexpr int kMaxReconnectBackoffMs = 1000;

// How often a name may be looked up again after connections broke, by default
// every 30 s: within that time all servers behind it may have been replaced.
constexpr int kResolveAgainMs = 2'000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  // The caller knows what it asked for.
  arguments.SetMaxReceiveMessageSize(-1);
  // gRPC's own retry never repeats a large request, nor one whose response has
  // begun.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   kFirstReconnectBackoffMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS,
                   kResolveAgainMs);
  // By default all channels of a process share connections, and so the backoff
  // after a failure.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return MakeGrpcChannel(address, arguments);
}

}  // namespace

Connection::Connection(const ClientOptions& options)
    : address(options.address),
      retry(options.retry),
      stub(MakeChannel(options.address)),
      budget(absl::Now()) {}

}  // namespace groupnorm
