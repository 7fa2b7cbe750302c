#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/service/channel.h"
#include "bench/service/load.h"

namespace groupnorm::bench {

namespace {

class RawLoad final : public Load {
 public:
  RawLoad(const std::string& address, int in_flight, const ForwardCase& forward)
      : stub_(Connect(address)),
        response_bytes_(forward.response.ByteSizeLong()),
        calls_(static_cast<std::size_t>(in_flight)) {
    const grpc::Slice slice(forward.request.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
  }

  ~RawLoad() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) continue;
  }

  absl::Status Check() override {
    Start(calls_.front());
    if (absl::Status status = AwaitAny().status(); !status.ok()) return status;
    const std::size_t bytes = calls_.front().response.Length();
    if (bytes == response_bytes_) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(
        "response: ", bytes, " bytes, expected ", response_bytes_));
  }

  absl::StatusOr<std::vector<double>> Run(absl::Time end) override {
    for (OneCall& call : calls_) Start(call);
    std::vector<double> seconds;
    for (std::size_t under_way = calls_.size(); under_way > 0;) {
      const absl::StatusOr<OneCall*> ended = AwaitAny();
      if (!ended.ok()) return ended.status();
      const absl::Time now = absl::Now();
      seconds.push_back(absl::ToDoubleSeconds(now - (*ended)->start));
      if (now < end) {
        Start(**ended);
      } else {
        --under_way;
      }
    }
    return seconds;
  }

 private:
  struct OneCall {
    absl::Time start;
    std::optional<grpc::ClientContext> context;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
    grpc::ByteBuffer response;
    grpc::Status status;
  };

  void Start(OneCall& call) {
    call.reader.reset();
    call.response.Clear();
    call.context.emplace();
    call.start = absl::Now();
    call.reader = stub_.PrepareUnaryCall(
        &*call.context, "/groupnorm.v1.GroupNormService/Forward", request_,
        &queue_);
    call.reader->StartCall();
    call.reader->Finish(&call.response, &call.status, &call);
  }

  // Calls that are left after an error end with the process.
  absl::StatusOr<OneCall*> AwaitAny() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    auto* const call = static_cast<OneCall*>(tag);
    if (call->status.ok()) return call;
    return absl::UnavailableError(call->status.error_message());
  }

  grpc::GenericStub stub_;
  const std::size_t response_bytes_;
  grpc::ByteBuffer request_;
  grpc::CompletionQueue queue_;
  std::vector<OneCall> calls_;
};

}  // namespace

std::unique_ptr<Load> MakeRawLoad(const std::string& address, int in_flight,
                                  const ForwardCase& forward) {
  return std::make_unique<RawLoad>(address, in_flight, forward);
}

}  // namespace groupnorm::bench
