#ifndef GROUPNORM_BENCH_SERVICE_CHANNEL_H_
#define GROUPNORM_BENCH_SERVICE_CHANNEL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace groupnorm::bench {

/// One connection with gRPC's defaults, but for the limit on the size of
/// responses.
inline std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_SERVICE_CHANNEL_H_
