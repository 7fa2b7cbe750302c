#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/service/servers.h"
#include "server/completion_tag.h"
#include "server/service.h"

namespace groupnorm::bench {

namespace {

// The same slices, so that no byte is copied.
grpc::ByteBuffer Resized(const grpc::ByteBuffer& request, std::size_t bytes) {
  std::vector<grpc::Slice> slices;
  if (!request.Dump(&slices).ok()) return {};
  std::vector<grpc::Slice> kept;
  kept.reserve(slices.size() + 1);
  for (const grpc::Slice& slice : slices) {
    if (bytes == 0) break;
    const std::size_t size = std::min(slice.size(), bytes);
    kept.push_back(size == slice.size() ? slice : slice.sub(0, size));
    bytes -= size;
  }
  if (bytes > 0) kept.emplace_back(std::string(bytes, '\0'));
  return {kept.data(), kept.size()};
}

class EchoCall {
 public:
  static void Await(GroupNormService& service,
                    grpc::ServerCompletionQueue& queue,
                    std::size_t response_bytes) {
    auto* const call = new EchoCall(service, queue, response_bytes);
    service.RequestTensorCall(
        GroupNormService::kForward, &call->context_, &call->stream_, &queue,
        call->tag_.Arm([call](bool ok) { call->OnHeaders(ok); }));
  }

 private:
  EchoCall(GroupNormService& service, grpc::ServerCompletionQueue& queue,
           std::size_t response_bytes)
      : service_(service),
        queue_(queue),
        response_bytes_(response_bytes),
        stream_(&context_) {}

  void OnHeaders(bool ok) {
    if (!ok) return Delete();
    Await(service_, queue_, response_bytes_);
    stream_.Read(&request_, tag_.Arm([this](bool read) { OnRead(read); }));
  }

  void OnRead(bool ok) {
    const auto end = [this](bool /*sent*/) { Delete(); };
    if (!ok) {
      stream_.Finish({grpc::StatusCode::INVALID_ARGUMENT, "no request"},
                     tag_.Arm(end));
      return;
    }
    stream_.WriteAndFinish(Resized(request_, response_bytes_), {},
                           grpc::Status::OK, tag_.Arm(end));
  }

  void Delete() { delete this; }

  GroupNormService& service_;
  grpc::ServerCompletionQueue& queue_;
  const std::size_t response_bytes_;
  grpc::ServerContext context_;
  GroupNormService::TensorStream stream_;
  grpc::ByteBuffer request_;
  CompletionTag tag_;
};

void ServeQueue(grpc::ServerCompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->Complete(ok);
}

}  // namespace

void ServeEcho(grpc::ServerBuilder& builder, const EchoLayout& layout,
               std::size_t response_bytes,
               const std::function<void()>& on_started) {
  GroupNormService service;
  builder.RegisterService(&service);
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  queues.reserve(static_cast<std::size_t>(layout.queues));
  for (int i = 0; i < layout.queues; ++i) {
    queues.push_back(builder.AddCompletionQueue());
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  on_started();
  std::vector<std::thread> threads;
  threads.reserve(queues.size() *
                  static_cast<std::size_t>(layout.threads_per_queue));
  for (const auto& queue : queues) {
    for (int i = 0; i < layout.threads_per_queue; ++i) {
      EchoCall::Await(service, *queue, response_bytes);
      threads.emplace_back([&queue] { ServeQueue(*queue); });
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace groupnorm::bench
