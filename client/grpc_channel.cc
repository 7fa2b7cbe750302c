#include "client/grpc_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "client/address.h"

namespace groupnorm {
namespace {

// A stopped or frozen machine accepts connections and breaks none. The server
// permits a ping every second. A call that watches a server's health keeps the
// pings going while no other call runs.
constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;

// The same patience for the first answer on a new connection.
constexpr int kConnectTimeoutMs = 5'000;

}  // namespace

std::shared_ptr<grpc::Channel> MakeGrpcChannel(
    const std::string& address, grpc::ChannelArguments arguments) {
  // gRPC's name of the time that an attempt to connect has.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // By default gRPC stops after two pings without data in between.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A proxy is asked for one host, not for a list of addresses.
  if (IsLoopback(address) || IsList(address)) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  return grpc::CreateCustomChannel(
      TargetOf(address), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace groupnorm
