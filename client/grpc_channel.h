#ifndef GROUPNORM_CLIENT_GRPC_CHANNEL_H_
#define GROUPNORM_CLIENT_GRPC_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

namespace groupnorm {

/// A grpc_channel to `address`, as of ClientOptions and valid, with further
/// `arguments`. It gives up a server that does not answer for 15 s, not even a
/// ping, and the attempts on that connection fail. Does not connect yet.
std::shared_ptr<grpc::Channel> MakeGrpcChannel(
    const std::string& address, grpc::ChannelArguments arguments);

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_GRPC_CHANNEL_H_
