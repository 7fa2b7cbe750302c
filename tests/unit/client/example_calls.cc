#include "tests/unit/client/example_calls.h"

#include <gtest/gtest.h>

namespace groupnorm {

const std::vector<float> kInput = {10, 20, 30, 40};

std::unique_ptr<Client> Connect(const std::string& address,
                                absl::Duration timeout) {
  auto client = Client::Create({.address = address, .timeout = timeout});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

std::unique_ptr<Client> ConnectOnce(const std::string& address) {
  auto client = Client::Create({.address = address,
                                .timeout = absl::Minutes(2),
                                .retry = {.max_attempts = 1}});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

v1::ForwardResponse RightForwardResponse() {
  v1::ForwardResponse response;
  *response.mutable_statistics()->mutable_mean() =
      MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 1}, {0.5, 1.5});
  *response.mutable_statistics()->mutable_rstd() =
      MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 1}, {2.5, 3.5});
  *response.mutable_output() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 2}, {1, 2, 3, 4});
  return response;
}

v1::BackwardResponse RightBackwardResponse() {
  v1::BackwardResponse response;
  *response.mutable_grad_weight() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2}, {1, 2});
  *response.mutable_grad_bias() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2}, {3, 4});
  *response.mutable_grad_input() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 2}, {5, 6, 7, 8});
  return response;
}

FakeServer::Method Answer(const google::protobuf::MessageLite& response) {
  return [bytes = response.SerializeAsString()](const std::string&) {
    return bytes;
  };
}

ForwardArguments ForwardExample() {
  return {.input = {DataType::kFloat32, {2, 2}, kInput.data()},
          .num_groups = 1};
}

BackwardArguments BackwardExample() {
  return {.grad_output = {DataType::kFloat32, {2, 2}, kInput.data()},
          .input = {DataType::kFloat32, {2, 2}, kInput.data()},
          .num_groups = 1};
}

}  // namespace groupnorm
