#include "client/connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/time/clock.h"
#include "client/address.h"

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

// A stopped or frozen machine accepts connections and breaks none. The server
// permits a ping every second. The call that watches a server's health keeps
// the pings going while no other call runs.
constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;

// The same patience for the first answer on a new connection.
constexpr int kConnectTimeoutMs = 5'000;

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
  // gRPC's name of the time that an attempt to connect has.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS,
                   kResolveAgainMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // By default gRPC stops after two pings without data in between.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // By default all channels of a process share connections, and so the backoff
  // after a failure.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A proxy is asked for one host, not for a list of addresses.
  if (IsLoopback(address) || IsList(address)) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  return grpc::CreateCustomChannel(
      TargetOf(address), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Connection::Connection(const ClientOptions& options)
    : address(options.address),
      retry(options.retry),
      stub(MakeChannel(options.address)),
      budget(absl::Now()) {}

}  // namespace groupnorm
