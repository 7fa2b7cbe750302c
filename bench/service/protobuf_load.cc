#include <cstring>
#include <string>
#include <utility>

#include "bench/service/blocking_load.h"
#include "bench/service/channel.h"
#include "groupnorm/v1/groupnorm.grpc.pb.h"

namespace groupnorm::bench {

namespace {

using Stub = v1::GroupNormService::Stub;

// The messages of a call, and what becomes of them after it.
enum class Messages { kNew, kReused };

class ProtobufCaller final : public BlockingCaller {
 public:
  ProtobufCaller(std::shared_ptr<Stub> stub, const ForwardCase& forward,
                 Messages messages)
      : stub_(std::move(stub)),
        forward_(forward),
        messages_(messages),
        input_(forward.request.input().data()),
        output_(forward.response.output().data().size(), '\0') {}

  absl::Status Call() override {
    if (messages_ == Messages::kReused) return Call(request_, response_);
    v1::ForwardRequest request;
    v1::ForwardResponse response;
    return Call(request, response);
  }

  bool IsRight() const override {
    return output_ == forward_.response.output().data();
  }

 private:
  absl::Status Call(v1::ForwardRequest& request,
                    v1::ForwardResponse& response) {
    *request.mutable_config() = forward_.request.config();
    v1::Tensor& tensor = *request.mutable_input();
    tensor.set_dtype(forward_.request.input().dtype());
    *tensor.mutable_shape() = forward_.request.input().shape();
    tensor.set_data(input_.data(), input_.size());
    grpc::ClientContext context;
    const grpc::Status status = stub_->Forward(&context, request, &response);
    if (!status.ok()) return absl::UnavailableError(status.error_message());
    const std::string& data = response.output().data();
    if (data.size() != output_.size()) {
      return absl::DataLossError("response: not of the size of its request");
    }
    std::memcpy(output_.data(), data.data(), data.size());
    return absl::OkStatus();
  }

  const std::shared_ptr<Stub> stub_;
  const ForwardCase& forward_;
  const Messages messages_;
  std::string input_;
  std::string output_;
  v1::ForwardRequest request_;
  v1::ForwardResponse response_;
};

std::unique_ptr<Load> MakeLoad(const std::string& address, int in_flight,
                               const ForwardCase& forward, Messages messages) {
  const std::shared_ptr<Stub> stub =
      v1::GroupNormService::NewStub(Connect(address));
  std::vector<std::unique_ptr<BlockingCaller>> callers;
  callers.reserve(static_cast<std::size_t>(in_flight));
  for (int i = 0; i < in_flight; ++i) {
    callers.push_back(
        std::make_unique<ProtobufCaller>(stub, forward, messages));
  }
  return std::make_unique<BlockingLoad>(std::move(callers));
}

}  // namespace

std::unique_ptr<Load> MakeGeneratedLoad(const std::string& address,
                                        int in_flight,
                                        const ForwardCase& forward) {
  return MakeLoad(address, in_flight, forward, Messages::kNew);
}

std::unique_ptr<Load> MakeTunedLoad(const std::string& address, int in_flight,
                                    const ForwardCase& forward) {
  return MakeLoad(address, in_flight, forward, Messages::kReused);
}

}  // namespace groupnorm::bench
