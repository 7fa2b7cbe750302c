#include "server/connection.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "server/service.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

// A call at a bare service, on both of its sides.
struct Arrived {
  std::unique_ptr<RawCall> caller;
  std::unique_ptr<grpc::ServerContext> context;
  std::unique_ptr<GroupNormService::TensorStream> stream;
};

// Accepts calls, and never answers them.
class ConnectionTest : public ::testing::TestWithParam<std::string> {
 protected:
  ConnectionTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    queue_ = builder.AddCompletionQueue();
    int port = 0;
    builder.AddListeningPort(GetParam(), grpc::InsecureServerCredentials(),
                             &port);
    server_ = builder.BuildAndStart();
    address_ = GetParam().starts_with("unix:")
                   ? GetParam()
                   : "127.0.0.1:" + std::to_string(port);
  }

  ~ConnectionTest() override {
    for (Arrived& call : calls_) call.caller.reset();
    server_->Shutdown(std::chrono::system_clock::now());
    queue_->Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
    }
  }

  ConnectionId Call(const std::shared_ptr<grpc::Channel>& channel) {
    Arrived call;
    call.context = std::make_unique<grpc::ServerContext>();
    call.stream =
        std::make_unique<GroupNormService::TensorStream>(call.context.get());
    service_.RequestTensorCall(GroupNormService::kForward, call.context.get(),
                               call.stream.get(), queue_.get(), nullptr);
    call.caller = std::make_unique<RawCall>(channel, "Forward");
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue_->Next(&tag, &ok) && ok);
    const ConnectionId connection = ConnectionOf(*call.context);
    EXPECT_NE(connection, nullptr);
    calls_.push_back(std::move(call));
    return connection;
  }

  const std::string& address() const { return address_; }

 private:
  GroupNormService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::vector<Arrived> calls_;
};

TEST_P(ConnectionTest, TellsConnectionsApart) {
  const auto one = Connect(address());
  const auto other = Connect(address());
  const ConnectionId first = Call(one);
  EXPECT_EQ(Call(one), first);
  const ConnectionId second = Call(other);
  EXPECT_NE(second, first);
  EXPECT_EQ(Call(other), second);
  EXPECT_EQ(Call(one), first);
}

INSTANTIATE_TEST_SUITE_P(Sockets, ConnectionTest,
                         ::testing::Values("127.0.0.1:0",
                                           "unix:" + UniquePath(".socket")));

}  // namespace
}  // namespace groupnorm
