#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "bench/service/forward_case.h"
#include "bench/service/servers.h"
#include "groupnorm/v1/groupnorm.grpc.pb.h"

namespace groupnorm::bench {

namespace {

using Service = v1::GroupNormService;

class SynchronousService final : public Service::Service {
 public:
  grpc::Status Forward(grpc::ServerContext* /*context*/,
                       const v1::ForwardRequest* request,
                       v1::ForwardResponse* response) override {
    return ForwardArithmetic().Run(*request, *response);
  }
};

// As groupnorm-server has them; each is served by one thread.
constexpr int kQueues = 2;

// Calls that a queue can take at once. Their messages stay allocated.
constexpr int kCallsPerQueue = 16;

/// Serves one call after the other with the same messages.
class TunedCall {
 public:
  TunedCall(Service::AsyncService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    Await();
  }

  /// What was waited for has happened.
  void Proceed(bool ok) {
    if (!is_answered_ && !ok) return;  // The server has shut down.
    if (is_answered_) {
      Await();
      return;
    }
    is_answered_ = true;
    const grpc::Status status = arithmetic_.Run(request_, response_);
    if (status.ok()) {
      responder_->Finish(response_, status, this);
    } else {
      responder_->FinishWithError(status, this);
    }
  }

 private:
  void Await() {
    is_answered_ = false;
    responder_.reset();
    context_.emplace();
    responder_.emplace(&*context_);
    service_.RequestForward(&*context_, &request_, &*responder_, &queue_,
                            &queue_, this);
  }

  Service::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  ForwardArithmetic arithmetic_;
  v1::ForwardRequest request_;
  v1::ForwardResponse response_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<v1::ForwardResponse>>
      responder_;
  bool is_answered_ = false;
};

void ServeQueue(Service::AsyncService& service,
                grpc::ServerCompletionQueue& queue) {
  std::deque<TunedCall> calls;
  for (int i = 0; i < kCallsPerQueue; ++i) calls.emplace_back(service, queue);
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<TunedCall*>(tag)->Proceed(ok);
}

}  // namespace

void ServeGenerated(grpc::ServerBuilder& builder,
                    const std::function<void()>& on_started) {
  SynchronousService service;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  on_started();
  if (server != nullptr) server->Wait();
}

void ServeTuned(grpc::ServerBuilder& builder,
                const std::function<void()>& on_started) {
  Service::AsyncService service;
  builder.RegisterService(&service);
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  queues.reserve(kQueues);
  for (int i = 0; i < kQueues; ++i) {
    queues.push_back(builder.AddCompletionQueue());
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  on_started();
  std::vector<std::thread> threads;
  threads.reserve(queues.size());
  for (const auto& queue : queues) {
    threads.emplace_back([&service, &queue] { ServeQueue(service, *queue); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace groupnorm::bench
