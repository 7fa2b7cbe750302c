#ifndef GROUPNORM_TESTS_TESTING_TEST_SERVER_H_
#define GROUPNORM_TESTS_TESTING_TEST_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "groupnorm/v1/groupnorm.grpc.pb.h"
#include "server/options.h"
#include "server/server.h"

namespace groupnorm {

/// A connection of its own to `address`, with no limit on the size of
/// responses.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

/// Options of a server on a free port of the loopback interface that drains
/// without a delay.
ServerOptions LoopbackOptions();

/// A server within the test's process.
class TestServer {
 public:
  /// Ends the test program where the server does not start.
  explicit TestServer(ServerOptions options = LoopbackOptions());

  Server& server() { return *server_; }
  const std::string& address() const { return server_->addresses().front(); }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  /// Waits until exactly `count` calls are admitted and not yet answered.
  void AwaitCallsInFlight(int count);

  /// A call through the generated unary stub, with a deadline so generous that
  /// only a call that hangs meets it.
  grpc::Status Forward(const v1::ForwardRequest& request,
                       v1::ForwardResponse* response);
  grpc::Status Backward(const v1::BackwardRequest& request,
                        v1::BackwardResponse* response);
  grpc::Status GetServerInfo(v1::GetServerInfoResponse* response);

 private:
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

/// The same calls on any channel; `context` may be used afterwards.
grpc::Status CallForward(const std::shared_ptr<grpc::Channel>& channel,
                         const v1::ForwardRequest& request,
                         v1::ForwardResponse* response,
                         grpc::ClientContext* context = nullptr);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_TEST_SERVER_H_
