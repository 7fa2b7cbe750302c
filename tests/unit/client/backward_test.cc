#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "groupnorm/client.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "tests/unit/client/example_calls.h"
#include "tests/unit/client/fake_server.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;

TEST(ClientBackward, WritesEveryResultToTheCallersMemory) {
  FakeServer server({.backward = Answer(RightBackwardResponse())});
  std::vector<float> grad_input(4), grad_weight(2), grad_bias(2);
  EXPECT_EQ(
      Connect(server.address())
          ->Backward(BackwardExample(), {.grad_input = grad_input.data(),
                                         .grad_weight = grad_weight.data(),
                                         .grad_bias = grad_bias.data()}),
      absl::OkStatus());
  EXPECT_THAT(grad_weight, ElementsAre(1, 2));
  EXPECT_THAT(grad_bias, ElementsAre(3, 4));
  EXPECT_THAT(grad_input, ElementsAre(5, 6, 7, 8));
}

TEST(ClientBackward, SendsEveryArgument) {
  v1::BackwardRequest received;
  v1::BackwardResponse response;
  *response.mutable_grad_bias() =
      MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 2}, {1, 2, 3, 4});
  FakeServer server({.backward = [&](const std::string& request) {
    EXPECT_TRUE(received.ParseFromString(request));
    return response.SerializeAsString();
  }});
  const std::vector<double> weight = {1, 2}, mean = {5, 6}, rstd = {7, 8};
  const std::vector<float> grad_output = {-1, -2, -3, -4};
  BackwardArguments arguments = BackwardExample();
  arguments.grad_output.data = grad_output.data();
  arguments.epsilon = 0.25;
  arguments.layout = Layout::kChannelsLast;
  arguments.weight = {DataType::kFloat64, {2}, weight.data()};
  arguments.statistics = {{DataType::kFloat64, {2, 1}, mean.data()},
                          {DataType::kFloat64, {2, 1}, rstd.data()}};
  arguments.frozen_statistics = true;
  arguments.per_sample_gradients = true;
  BackwardMemory memory;
  EXPECT_EQ(Connect(server.address())
                ->Backward(arguments, {.grad_bias = memory.grad_bias.data()}),
            absl::OkStatus());
  EXPECT_THAT(memory.grad_bias, ElementsAre(1, 2, 3, 4));

  v1::BackwardRequest expected;
  expected.mutable_config()->set_num_groups(1);
  expected.mutable_config()->set_epsilon(0.25);
  expected.mutable_config()->set_layout(v1::LAYOUT_CHANNELS_LAST);
  *expected.mutable_weight() = MakeTensor(v1::DATA_TYPE_FLOAT64, {2}, weight);
  *expected.mutable_statistics()->mutable_mean() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, mean);
  *expected.mutable_statistics()->mutable_rstd() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, rstd);
  expected.add_gradients(v1::GRADIENT_BIAS);
  expected.set_frozen_statistics(true);
  expected.set_per_sample_gradients(true);
  *expected.mutable_grad_output() =
      MakeTensor(v1::DATA_TYPE_FLOAT32, {2, 2}, grad_output);
  *expected.mutable_input() = MakeTensor(v1::DATA_TYPE_FLOAT32, {2, 2}, kInput);
  EXPECT_EQ(received.SerializeAsString(), expected.SerializeAsString());
}

struct WrongBackward {
  const char* name;
  bool per_sample_gradients;
  void (*spoil)(v1::BackwardResponse&);
  const char* message;
};

class ClientBackwardOfWrongResponse
    : public ::testing::TestWithParam<WrongBackward> {};

TEST_P(ClientBackwardOfWrongResponse, IsInternal) {
  v1::BackwardResponse response = RightBackwardResponse();
  GetParam().spoil(response);
  FakeServer server({.backward = Answer(response)});
  BackwardArguments arguments = BackwardExample();
  arguments.per_sample_gradients = GetParam().per_sample_gradients;
  BackwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Backward(arguments, memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(std::string(status.message()), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    EveryTensor, ClientBackwardOfWrongResponse,
    ::testing::Values(
        WrongBackward{"GradWeightNotPerSample", true,
                      [](v1::BackwardResponse&) {},
                      "response.grad_weight: FLOAT32 [2], expected FLOAT64 "
                      "[2, 2]"},
        WrongBackward{"GradWeightDtype", false,
                      [](v1::BackwardResponse& response) {
                        *response.mutable_grad_weight() = MakeTensor<double>(
                            v1::DATA_TYPE_FLOAT64, {2}, {1, 2});
                      },
                      "response.grad_weight: FLOAT64 [2], expected FLOAT32 "
                      "[2]"},
        WrongBackward{
            "GradBiasMissing", false,
            [](v1::BackwardResponse& response) { response.clear_grad_bias(); },
            "response.grad_bias: missing, expected FLOAT32 [2]"},
        WrongBackward{
            "GradInputMissing", false,
            [](v1::BackwardResponse& response) { response.clear_grad_input(); },
            "response.grad_input: missing, expected FLOAT32 [2, 2]"},
        WrongBackward{"GradInputShape", false,
                      [](v1::BackwardResponse& response) {
                        *response.mutable_grad_input() = MakeTensor<float>(
                            v1::DATA_TYPE_FLOAT32, {2, 1}, {1, 2});
                      },
                      "response.grad_input: FLOAT32 [2, 1], expected FLOAT32 "
                      "[2, 2]"}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace groupnorm
