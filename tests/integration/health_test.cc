#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::StartsWith;

constexpr char kServiceName[] = "groupnorm.v1.GroupNormService";

HealthCheckRequest For(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request;
}

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::minutes(5));
}

grpc::Status Check(const std::shared_ptr<grpc::Channel>& channel,
                   const std::string& service, HealthCheckResponse* response) {
  grpc::ClientContext context;
  SetDeadline(context);
  return Health::NewStub(channel)->Check(&context, For(service), response);
}

// An open stream of Watch.
class Watch {
 public:
  Watch(const std::shared_ptr<grpc::Channel>& channel,
        const std::string& service)
      : stub_(Health::NewStub(channel)) {
    SetDeadline(context_);
    stream_ = stub_->Watch(&context_, For(service));
  }

  // What the server says next, or -1 once the stream has ended.
  int Next() {
    HealthCheckResponse response;
    return stream_->Read(&response) ? response.status() : -1;
  }

  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() { return stream_->Finish(); }

 private:
  std::unique_ptr<Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> stream_;
};

TEST(Health, ServesAsAWholeAndByTheNameOfTheService) {
  TestServer server;
  for (const char* service : {"", kServiceName}) {
    HealthCheckResponse response;
    EXPECT_THAT(Check(server.channel(), service, &response), Succeeds());
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
    EXPECT_EQ(Watch(server.channel(), service).Next(),
              HealthCheckResponse::SERVING);
  }
}

TEST(Health, DoesNotKnowOtherServices) {
  TestServer server;
  HealthCheckResponse response;
  EXPECT_THAT(
      Check(server.channel(), "groupnorm.v2.GroupNormService", &response),
      FailsWith(grpc::StatusCode::NOT_FOUND,
                "service: 'groupnorm.v2.GroupNormService', expected '' "
                "or 'groupnorm.v1.GroupNormService'"));
  EXPECT_THAT(Check(server.channel(), std::string(4000, '\n'), &response),
              FailsWith(grpc::StatusCode::NOT_FOUND,
                        StartsWith("service: '" + std::string(1000, '?'))));
  EXPECT_EQ(Watch(server.channel(), "groupnorm.v2.GroupNormService").Next(),
            HealthCheckResponse::SERVICE_UNKNOWN);
}

TEST(Health, RefusesWhatIsNoRequest) {
  TestServer server;
  for (const char* method :
       {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}) {
    RawCall missing(server.channel(), method);
    missing.EndRequest();
    EXPECT_THAT(missing.Finish(),
                FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                          "request: missing or not valid, expected a "
                          "HealthCheckRequest"));
    RawCall garbage(server.channel(), method);
    garbage.Send("\xff");
    EXPECT_THAT(garbage.Finish(),
                FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                          "request: missing or not valid, expected a "
                          "HealthCheckRequest"));
  }
}

TEST(Health, RefusesRequestsThatAWatchWouldKeep) {
  TestServer server;
  // 3 bytes are the field's tag and its length.
  for (const char* method :
       {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}) {
    RawCall call(server.channel(), method);
    call.Send(For(std::string(4094, 'x')).SerializeAsString());
    EXPECT_THAT(call.Finish(),
                FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                          "request: 4097 bytes, expected at most 4096"));
  }
  EXPECT_EQ(Watch(server.channel(), std::string(4093, 'x')).Next(),
            HealthCheckResponse::SERVICE_UNKNOWN);
}

TEST(Health, EndsCallsWhoseRequestDoesNotCome) {
  ServerOptions options = LoopbackOptions();
  options.read_timeout = absl::Milliseconds(50);
  TestServer server(options);
  for (const char* method :
       {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}) {
    RawCall silent(server.channel(), method);
    EXPECT_THAT(silent.Finish(),
                FailsWith(grpc::StatusCode::DEADLINE_EXCEEDED,
                          "deadline: the request has not arrived within 50ms "
                          "(--read-timeout)"));
  }
  // A watch that has said what it watches stays.
  Watch watch(server.channel(), "");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  RawCall later(server.channel(), "/grpc.health.v1.Health/Check");
  EXPECT_EQ(later.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(server.server().Drain());
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
}

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";

using RawCalls = std::vector<std::unique_ptr<RawCall>>;

// Calls of a method whose request does not come.
RawCalls SilentCalls(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& method, int count) {
  RawCalls calls;
  calls.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    calls.push_back(std::make_unique<RawCall>(channel, method));
  }
  return calls;
}

// Checks until one fails: all places are taken then. A check may have had the
// place of a silent one that came meanwhile and was refused, so that after each
// `add_silent` makes another.
grpc::Status CheckUntilRefused(const std::shared_ptr<grpc::Channel>& channel,
                               const std::function<void()>& add_silent) {
  HealthCheckResponse response;
  grpc::Status status = Check(channel, "", &response);
  for (; status.ok(); status = Check(channel, "", &response)) add_silent();
  return status;
}

class HealthBounds : public ::testing::Test {
 protected:
  static ServerOptions Settings() {
    ServerOptions options = LoopbackOptions();
    options.read_timeout = absl::Minutes(10);
    options.max_queued_calls = 4096;  // So many calls on one connection.
    return options;
  }

  HealthBounds() : server_(Settings()), other_(Connect(server_.address())) {}

  const std::shared_ptr<grpc::Channel>& own() const {
    return server_.channel();
  }
  const std::shared_ptr<grpc::Channel>& other() const { return other_; }
  std::shared_ptr<grpc::Channel> NewConnection() const {
    return Connect(server_.address());
  }

 private:
  TestServer server_;
  std::shared_ptr<grpc::Channel> other_;
};

TEST_F(HealthBounds, LeavePlacesForChecksBesideAConnectionWithMany) {
  RawCalls silent = SilentCalls(own(), kCheck, 300);
  const auto add_silent = [&] {
    silent.push_back(std::make_unique<RawCall>(own(), kCheck));
  };
  EXPECT_THAT(CheckUntilRefused(own(), add_silent),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "server: 128 health checks of this connection are "
                        "open, the limit"));
  HealthCheckResponse response;
  EXPECT_THAT(Check(other(), "", &response), Succeeds());
}

TEST_F(HealthBounds, LeavePlacesForWatchesBesideAConnectionWithMany) {
  RawCalls silent = SilentCalls(own(), kWatch, 2100);
  grpc::Status status;
  do {  // As CheckUntilRefused().
    Watch watch(own(), "");
    if (watch.Next() == -1) status = watch.Finish();
    silent.push_back(std::make_unique<RawCall>(own(), kWatch));
  } while (status.ok());
  EXPECT_THAT(status, FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                "server: 2048 health watches of this "
                                "connection are open, the limit"));
  EXPECT_EQ(Watch(other(), "").Next(), HealthCheckResponse::SERVING);
}

// A check takes the place of the oldest silent one, however many connections
// hold all.
TEST_F(HealthBounds, AreThoseOfSilentChecksAlone) {
  RawCalls silent = SilentCalls(own(), kCheck, 128);
  RawCalls others = SilentCalls(other(), kCheck, 128);
  const auto channel = NewConnection();
  std::atomic<bool> displaced = false;
  std::thread oldest([&] {
    EXPECT_THAT(silent.front()->Finish(),
                FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                          "server: 256 health checks are open, the limit"));
    displaced = true;
  });
  HealthCheckResponse response;
  while (!displaced) {
    EXPECT_THAT(Check(channel, "", &response), Succeeds());
    for (const auto& flooded : {own(), other(), NewConnection()}) {
      others.push_back(std::make_unique<RawCall>(flooded, kCheck));
    }
  }
  oldest.join();
  EXPECT_THAT(Check(channel, "", &response), Succeeds());
}

TEST(Health, AnswersWhileTheServerIsFull) {
  ServerOptions options = LoopbackOptions();
  options.max_queued_calls = 2;
  TestServer server(options);
  RawCall first(server.channel(), "Forward"),
      second(Connect(server.address()), "Forward");
  server.AwaitCallsInFlight(2);
  HealthCheckResponse response;
  EXPECT_THAT(Check(server.channel(), "", &response), Succeeds());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(Watch(server.channel(), "").Next(), HealthCheckResponse::SERVING);
}

TEST(Health, KeepsServingBesideWatchesThatWereCancelled) {
  TestServer server;
  for (int i = 0; i < 100; ++i) {
    Watch watch(server.channel(), "");
    EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
    watch.Cancel();
    EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_EQ(Watch(server.channel(), "").Next(), HealthCheckResponse::SERVING);
}

TEST(Health, SaysNotServingDuringTheDelayOfADrainWhileCallsAreAnswered) {
  ServerProcess server({"--listen=127.0.0.1:0", "--drain-delay=1h"});
  const auto channel = Connect(server.addresses().front());
  Watch watch(channel, "");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  server.Signal(SIGTERM);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);

  HealthCheckResponse response;
  EXPECT_THAT(Check(channel, kServiceName, &response), Succeeds());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Watch(channel, kServiceName).Next(),
            HealthCheckResponse::NOT_SERVING);
  v1::ForwardResponse forward;
  EXPECT_THAT(CallForward(channel, SmallForwardRequest(), &forward),
              Succeeds());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 128 + SIGTERM);
}

TEST(Health, EndsOpenWatchesWhenTheServerDrains) {
  TestServer server;
  std::vector<std::unique_ptr<Watch>> watches;
  for (const char* service : {"", kServiceName, "other"}) {
    watches.push_back(std::make_unique<Watch>(server.channel(), service));
    EXPECT_NE(watches.back()->Next(), -1);
  }
  EXPECT_TRUE(server.server().Drain());
  EXPECT_EQ(watches[0]->Next(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(watches[1]->Next(), HealthCheckResponse::NOT_SERVING);
  for (const auto& watch : watches) {
    EXPECT_EQ(watch->Next(), -1);
    EXPECT_THAT(watch->Finish(),
                FailsWith(grpc::StatusCode::UNAVAILABLE,
                          "server: draining, expected another server"));
  }
}

}  // namespace
}  // namespace groupnorm
