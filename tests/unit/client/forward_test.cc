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
using ::testing::HasSubstr;

TEST(ClientForward, WritesEveryResultToTheCallersMemory) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  ForwardMemory memory;
  EXPECT_EQ(
      Connect(server.address())->Forward(ForwardExample(), memory.results()),
      absl::OkStatus());
  EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(memory.mean, ElementsAre(0.5, 1.5));
  EXPECT_THAT(memory.rstd, ElementsAre(2.5, 3.5));
}

TEST(ClientForward, LeavesOutWhatIsNotWanted) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  ForwardMemory memory;
  EXPECT_EQ(Connect(server.address())
                ->Forward(ForwardExample(), {.rstd = memory.rstd.data()}),
            absl::OkStatus());
  EXPECT_THAT(memory.rstd, ElementsAre(2.5, 3.5));
}

TEST(ClientForward, SendsEveryArgument) {
  v1::ForwardRequest received;
  FakeServer server({.forward = [&](const std::string& request) {
    EXPECT_TRUE(received.ParseFromString(request));
    return RightForwardResponse().SerializeAsString();
  }});
  const std::vector<double> weight = {1, 2}, bias = {3, 4}, mean = {5, 6},
                            rstd = {7, 8};
  ForwardArguments arguments = ForwardExample();
  arguments.epsilon = 0.25;
  arguments.layout = Layout::kChannelsLast;
  arguments.weight = {DataType::kFloat64, {2}, weight.data()};
  arguments.bias = {DataType::kFloat64, {2}, bias.data()};
  arguments.statistics = {{DataType::kFloat64, {2, 1}, mean.data()},
                          {DataType::kFloat64, {2, 1}, rstd.data()}};
  ForwardMemory memory;
  EXPECT_EQ(Connect(server.address())->Forward(arguments, memory.results()),
            absl::OkStatus());

  v1::ForwardRequest expected;
  expected.mutable_config()->set_num_groups(1);
  expected.mutable_config()->set_epsilon(0.25);
  expected.mutable_config()->set_layout(v1::LAYOUT_CHANNELS_LAST);
  *expected.mutable_weight() = MakeTensor(v1::DATA_TYPE_FLOAT64, {2}, weight);
  *expected.mutable_bias() = MakeTensor(v1::DATA_TYPE_FLOAT64, {2}, bias);
  *expected.mutable_statistics()->mutable_mean() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, mean);
  *expected.mutable_statistics()->mutable_rstd() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, rstd);
  *expected.mutable_input() = MakeTensor(v1::DATA_TYPE_FLOAT32, {2, 2}, kInput);
  EXPECT_EQ(received.SerializeAsString(), expected.SerializeAsString());
}

TEST(ClientForward, ReceivesMoreThanGrpcAllowsByDefault) {
  constexpr std::int64_t kValues = 3 << 20;
  std::vector<float> values(kValues);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i);
  }
  v1::ForwardResponse response = RightForwardResponse();
  *response.mutable_output() =
      MakeTensor(v1::DATA_TYPE_FLOAT32, {2, kValues / 2}, values);
  FakeServer server({.forward = Answer(response)});
  std::vector<float> output(kValues);
  EXPECT_EQ(
      Connect(server.address())
          ->Forward(
              {.input = {DataType::kFloat32, {2, kValues / 2}, values.data()},
               .num_groups = 1},
              {.output = output.data()}),
      absl::OkStatus());
  EXPECT_EQ(output, values);
}

TEST(ClientForward, AnswersTensorsWithoutElements) {
  v1::ForwardResponse response;
  for (v1::Tensor* const tensor :
       {response.mutable_statistics()->mutable_mean(),
        response.mutable_statistics()->mutable_rstd()}) {
    *tensor = MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {0, 1}, {});
  }
  *response.mutable_output() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {0, 2}, {});
  FakeServer server({.forward = Answer(response)});
  ForwardMemory memory;
  EXPECT_EQ(Connect(server.address())
                ->Forward({.input = {DataType::kFloat32, {0, 2}, nullptr},
                           .num_groups = 1},
                          memory.results()),
            absl::OkStatus());
}

struct WrongForward {
  const char* name;
  void (*spoil)(v1::ForwardResponse&);
  const char* message;
};

class ClientForwardOfWrongResponse
    : public ::testing::TestWithParam<WrongForward> {};

TEST_P(ClientForwardOfWrongResponse, IsInternal) {
  v1::ForwardResponse response = RightForwardResponse();
  GetParam().spoil(response);
  FakeServer server({.forward = Answer(response)});
  ForwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Forward(ForwardExample(), memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    EveryTensor, ClientForwardOfWrongResponse,
    ::testing::Values(
        WrongForward{"OutputDtype",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_output() = MakeTensor<double>(
                           v1::DATA_TYPE_FLOAT64, {2, 2}, {1, 2, 3, 4});
                     },
                     "response.output: FLOAT64 [2, 2], expected FLOAT32 [2, "
                     "2]"},
        WrongForward{"OutputShapeOfTheSameSize",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_output() = MakeTensor<float>(
                           v1::DATA_TYPE_FLOAT32, {4, 1}, {1, 2, 3, 4});
                     },
                     "response.output: FLOAT32 [4, 1], expected FLOAT32 [2, "
                     "2]"},
        WrongForward{"OutputTooLarge",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_output() = MakeTensor<float>(
                           v1::DATA_TYPE_FLOAT32, {2, 3}, {1, 2, 3, 4, 5, 6});
                     },
                     "response.output: FLOAT32 [2, 3], expected FLOAT32 [2, "
                     "2]"},
        WrongForward{"OutputDataCutOff",
                     [](v1::ForwardResponse& response) {
                       response.mutable_output()->mutable_data()->pop_back();
                     },
                     "output"},
        WrongForward{
            "OutputMissing",
            [](v1::ForwardResponse& response) { response.clear_output(); },
            "output"},
        WrongForward{"MeanDtype",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_statistics()->mutable_mean() =
                           MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 1},
                                             {1, 2});
                     },
                     "statistics.mean.dtype: FLOAT32, expected FLOAT64"},
        WrongForward{"RstdShape",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_statistics()->mutable_rstd() =
                           MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 2},
                                              {1, 2, 3, 4});
                     },
                     "response.statistics.rstd: FLOAT64 [2, 2], expected "
                     "FLOAT64 [2, 1]"},
        WrongForward{
            "StatisticsMissing",
            [](v1::ForwardResponse& response) { response.clear_statistics(); },
            "statistics"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(ClientForward, IsInternalWhereTheResponseIsNoMessage) {
  FakeServer server(
      {.forward = [](const std::string&) { return std::string("\x7a\xff"); }});
  ForwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Forward(ForwardExample(), memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ForwardResponse"));
}

TEST(ClientForward, DoesNotTrustAServerThatAcceptsWhatHasNoChannels) {
  FakeServer server({.forward = Answer(RightForwardResponse()),
                     .backward = Answer(RightBackwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  const TensorView scalar = {DataType::kFloat32, {}, kInput.data()};
  ForwardMemory memory;
  EXPECT_EQ(
      client->Forward({.input = scalar, .num_groups = -3}, memory.results())
          .code(),
      absl::StatusCode::kInternal);
  BackwardMemory gradients;
  EXPECT_EQ(client
                ->Backward({.grad_output = scalar, .input = scalar},
                           gradients.results())
                .code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace groupnorm
