// Calls while the machine has no memory: they end with RESOURCE_EXHAUSTED, and
// the server goes on.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "server/grpc_status.h"
#include "server/served_call.h"
#include "tests/testing/allocations.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

constexpr char kMethod[] = "/test.Service/Method";

TEST(OutOfMemory, EndsTheCallThatNeedsItAndNoOther) {
  TestServer server;
  // 512 KiB, for which the statistics take 2 MiB each.
  constexpr std::int64_t kChannels = 1 << 18;
  v1::ForwardRequest large;
  large.mutable_config()->set_num_groups(kChannels);
  *large.mutable_input() = RandomTensor(DataType::kBfloat16, {1, kChannels}, 1);
  v1::ForwardResponse response;
  LimitAllocations(1 << 20);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(server.Forward(large, &response),
                FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                          "server: out of memory"));
    EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
  }
  LimitAllocations(std::numeric_limits<std::size_t>::max());
  EXPECT_THAT(server.Forward(large, &response), Succeeds());
  server.AwaitCallsInFlight(0);
}

TEST(OutOfMemory, IsNotMetWhereARequestOfHealthOrReflectionIsTooLarge) {
  TestServer server;
  const std::string name(1 << 20, 'x');
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(name);
  grpc::reflection::v1alpha::ServerReflectionRequest question;
  question.set_file_by_filename(name);
  const std::pair<const char*, std::string> calls[] = {
      {"/grpc.health.v1.Health/Check", request.SerializeAsString()},
      {"/grpc.health.v1.Health/Watch", request.SerializeAsString()},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
       question.SerializeAsString()}};
  for (const auto& [method, bytes] : calls) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer message(&slice, 1);
    RawCall call(server.channel(), method);
    LimitAllocations(512 << 10);
    call.Send(message);
    const grpc::Status status = call.Finish();
    LimitAllocations(std::numeric_limits<std::size_t>::max());
    EXPECT_THAT(status, FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                                  "request: " + std::to_string(bytes.size()) +
                                      " bytes, expected at most 4096"))
        << method;
  }
}

// A service of one method, as the server's own are made.
class TestService final : public grpc::Service {
 public:
  using Stream =
      grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

  TestService() {
    AddMethod(new grpc::internal::RpcServiceMethod(
        kMethod, grpc::internal::RpcMethod::BIDI_STREAMING, nullptr));
    MarkMethodAsync(0);
  }
  void RequestCall(grpc::ServerContext* context, Stream* stream,
                   grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncBidiStreaming(0, context, stream, queue, queue, tag);
  }
};

// What the calls share: how often a step of one runs out of memory.
struct TestEnvironment {
  TestService service;
  CallCount calls;
  std::atomic<int> await_failures = 0;   // Of waiting for the next call.
  std::atomic<int> call_failures = 0;    // Of a call's first step.
  std::atomic<int> end_failures = 0;     // Of ending it then.
  std::atomic<int> finish_failures = 0;  // Of gRPC's own part of that.
};

bool TakeIfAny(std::atomic<int>& failures) {
  if (failures == 0) return false;
  --failures;
  return true;
}

void FailIfAny(std::atomic<int>& failures) {
  if (TakeIfAny(failures)) throw std::bad_alloc();
}

// Its text does not fit in a string itself, so that gRPC takes memory for it.
grpc::Status LongStatus() {
  return grpc::Status(grpc::StatusCode::ABORTED,
                      "the text of a status that has to be copied");
}

class TestCall : public ServedCall {
 public:
  TestCall(TestEnvironment& environment, grpc::ServerCompletionQueue* queue)
      : ServedCall(environment.calls, queue),
        environment_(environment),
        stream_(&context()) {}

 private:
  void Request(void* tag) override {
    FailIfAny(environment_.await_failures);
    environment_.service.RequestCall(&context(), &stream_, queue(), tag);
  }
  void AwaitNext() override {
    Await(std::make_shared<TestCall>(environment_, queue()));
  }
  void OnCalled() override {
    FailIfAny(environment_.call_failures);
    End(grpc::Status::OK);
  }
  void OnFailure(const absl::Status& status) override {
    FailIfAny(environment_.end_failures);
    End(ToGrpcStatus(status));
  }
  void End(const grpc::Status& status) {
    Begin(end_tag_, Event(&TestCall::OnEnded), [&](void* tag) {
      if (TakeIfAny(environment_.finish_failures)) {
        const grpc::Status long_status = LongStatus();
        const FailingAllocation failing(0);
        stream_.Finish(long_status, tag);
      } else {
        stream_.Finish(status, tag);
      }
    });
  }
  void OnEnded(bool /*ok*/) {}

  TestEnvironment& environment_;
  TestService::Stream stream_;
  CompletionTag end_tag_;
};

// Serves TestCalls on one queue.
class ServedCallTest : public ::testing::Test {
 protected:
  ServedCallTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&environment.service);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    channel_ = Connect("127.0.0.1:" + std::to_string(port));
    ServedCall::Await(std::make_shared<TestCall>(environment, queue_.get()));
    thread_ = std::thread([this] {
      void* tag = nullptr;
      bool ok = false;
      while (queue_->Next(&tag, &ok)) {
        static_cast<CompletionTag*>(tag)->Complete(ok);
      }
    });
  }

  // All calls are gone in the end, or this hangs.
  ~ServedCallTest() override {
    server_->Shutdown();
    environment.calls.AwaitNone(absl::InfiniteFuture());
    queue_->Shutdown();
    thread_.join();
  }

  grpc::Status Call() { return RawCall(channel_, kMethod).Finish(); }

  TestEnvironment environment;

 private:
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::thread thread_;
};

TEST_F(ServedCallTest, EndsACallWhoseStepHasNoMemory) {
  environment.call_failures = 2;
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Call(), FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                  "server: out of memory"));
  }
  EXPECT_THAT(Call(), Succeeds());
}

TEST_F(ServedCallTest, CancelsACallThatItHasNoMemoryToEnd) {
  environment.call_failures = 1;
  environment.end_failures = 1;
  EXPECT_EQ(Call().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_THAT(Call(), Succeeds());
}

TEST_F(ServedCallTest, CancelsACallWhoseTextGrpcHasNoMemoryFor) {
  environment.finish_failures = 2;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Call().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_THAT(Call(), Succeeds());
}

TEST_F(ServedCallTest, ServesTheCallInHandWhereThereIsNoMemoryForTheNext) {
  environment.await_failures = std::numeric_limits<int>::max();
  EXPECT_THAT(Call(), Succeeds());
  environment.await_failures = 0;
  EXPECT_THAT(Call(), Succeeds());
}

TEST_F(ServedCallTest, WaitsForTheNextCallOnceThereIsMemory) {
  environment.await_failures = 3;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Call(), Succeeds());
  EXPECT_EQ(environment.await_failures, 0);
}

}  // namespace
}  // namespace groupnorm
