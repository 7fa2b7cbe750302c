#include "tests/testing/test_server.h"

#include <chrono>
#include <thread>
#include <utility>

namespace groupnorm {
namespace {

constexpr std::chrono::minutes kHangs{5};

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A refusal must reach the test as it is.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

ServerOptions LoopbackOptions() {
  ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.drain_delay = absl::ZeroDuration();
  return options;
}

TestServer::TestServer(ServerOptions options)
    : server_(Server::Start(std::move(options)).value()),
      channel_(Connect(address())) {}

void TestServer::AwaitCallsInFlight(int count) {
  while (server_->calls_in_flight() != count) std::this_thread::yield();
}

grpc::Status TestServer::Forward(const v1::ForwardRequest& request,
                                 v1::ForwardResponse* response) {
  return CallForward(channel_, request, response);
}

grpc::Status TestServer::Backward(const v1::BackwardRequest& request,
                                  v1::BackwardResponse* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kHangs);
  return v1::GroupNormService::NewStub(channel_)->Backward(&context, request,
                                                           response);
}

grpc::Status TestServer::GetServerInfo(v1::GetServerInfoResponse* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kHangs);
  return v1::GroupNormService::NewStub(channel_)->GetServerInfo(&context, {},
                                                                response);
}

grpc::Status CallForward(const std::shared_ptr<grpc::Channel>& channel,
                         const v1::ForwardRequest& request,
                         v1::ForwardResponse* response,
                         grpc::ClientContext* context) {
  grpc::ClientContext own;
  if (context == nullptr) {
    own.set_deadline(std::chrono::system_clock::now() + kHangs);
    context = &own;
  }
  return v1::GroupNormService::NewStub(channel)->Forward(context, request,
                                                         response);
}

}  // namespace groupnorm
