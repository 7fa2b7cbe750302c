#include <gmock/gmock.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "groupnorm/client.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"
#include "wire/client_messages.h"

/// The library and a generated stub, in front of the same server.
namespace groupnorm {
namespace {

std::string BytesOf(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(message.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

/// The encoded response to an encoded request.
template <typename Message>
std::string ResponseTo(TestServer& server, const std::string& method,
                       const Message& request) {
  RawCall call(server.channel(), method);
  EXPECT_TRUE(call.Send(request));
  call.EndRequest();
  EXPECT_THAT(call.Finish(), Succeeds());
  return BytesOf(call.response());
}

std::unique_ptr<Client> ClientOf(const TestServer& server) {
  auto client = Client::Create(
      {.address = server.address(), .timeout = absl::Minutes(5)});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

/// What Forward says of its input.
v1::Statistics StatisticsOf(TestServer& server,
                            const v1::ForwardRequest& request) {
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(request, &response), Succeeds());
  return response.statistics();
}

TEST(LibraryAndStub, GetTheSameBytesFromForward) {
  TestServer server;
  for (const bool given : {false, true}) {
    v1::ForwardRequest request = SmallForwardRequest();
    request.mutable_config()->set_epsilon(0.5);
    if (given) {
      *request.mutable_statistics() =
          StatisticsOf(server, SmallForwardRequest());
    }
    ForwardRequestFields fields;
    fields.num_groups = request.config().num_groups();
    fields.epsilon = request.config().epsilon();
    fields.weight = ViewOf(request.weight());
    fields.bias = ViewOf(request.bias());
    if (given) {
      fields.mean = ViewOf(request.statistics().mean());
      fields.rstd = ViewOf(request.statistics().rstd());
    }
    fields.input = ViewOf(request.input());
    EXPECT_EQ(ResponseTo(server, "Forward", EncodeForwardRequest(fields)),
              ResponseTo(server, "Forward", request.SerializeAsString()));

    v1::ForwardResponse expected;
    EXPECT_THAT(server.Forward(request, &expected), Succeeds());
    std::string output(expected.output().data().size(), '\0');
    std::vector<double> mean(6), rstd(6);
    ForwardArguments arguments;
    arguments.input = ViewOf(request.input());
    arguments.num_groups = fields.num_groups;
    arguments.epsilon = fields.epsilon;
    arguments.weight = fields.weight;
    arguments.bias = fields.bias;
    if (given) arguments.statistics = {*fields.mean, *fields.rstd};
    EXPECT_EQ(ClientOf(server)->Forward(arguments, {.output = output.data(),
                                                    .mean = mean.data(),
                                                    .rstd = rstd.data()}),
              absl::OkStatus());
    EXPECT_EQ(output, expected.output().data());
    EXPECT_EQ(mean, ValuesOf(expected.statistics().mean()));
    EXPECT_EQ(rstd, ValuesOf(expected.statistics().rstd()));
  }
}

TEST(LibraryAndStub, GetTheSameBytesFromBackward) {
  TestServer server;
  for (const bool frozen : {false, true}) {
    v1::BackwardRequest request = SmallBackwardRequest();
    request.clear_gradients();
    request.add_gradients(v1::GRADIENT_INPUT);
    request.add_gradients(v1::GRADIENT_WEIGHT);
    if (frozen) {
      *request.mutable_statistics() =
          StatisticsOf(server, SmallForwardRequest());
      request.set_frozen_statistics(true);
      request.set_per_sample_gradients(true);
    } else {
      request.clear_statistics();
    }
    BackwardArguments arguments;
    arguments.grad_output = ViewOf(request.grad_output());
    arguments.input = ViewOf(request.input());
    arguments.num_groups = request.config().num_groups();
    if (request.config().has_epsilon()) {
      arguments.epsilon = request.config().epsilon();
    }
    if (request.has_weight()) arguments.weight = ViewOf(request.weight());
    BackwardRequestFields fields;
    if (frozen) {
      fields.mean = ViewOf(request.statistics().mean());
      fields.rstd = ViewOf(request.statistics().rstd());
      arguments.statistics = {*fields.mean, *fields.rstd};
      arguments.frozen_statistics = true;
      arguments.per_sample_gradients = true;
    }
    fields.num_groups = arguments.num_groups;
    fields.epsilon = arguments.epsilon;
    fields.weight = arguments.weight;
    fields.want_grad_input = true;
    fields.want_grad_weight = true;
    fields.frozen_statistics = frozen;
    fields.per_sample_gradients = frozen;
    fields.grad_output = arguments.grad_output;
    fields.input = arguments.input;
    EXPECT_EQ(ResponseTo(server, "Backward", EncodeBackwardRequest(fields)),
              ResponseTo(server, "Backward", request.SerializeAsString()));

    v1::BackwardResponse expected;
    EXPECT_THAT(server.Backward(request, &expected), Succeeds());
    std::string grad_input(expected.grad_input().data().size(), '\0');
    std::string grad_weight(expected.grad_weight().data().size(), '\0');
    EXPECT_EQ(ClientOf(server)->Backward(arguments,
                                         {.grad_input = grad_input.data(),
                                          .grad_weight = grad_weight.data()}),
              absl::OkStatus());
    EXPECT_EQ(grad_input, expected.grad_input().data());
    EXPECT_EQ(grad_weight, expected.grad_weight().data());
    EXPECT_FALSE(expected.has_grad_bias());
  }
}

TEST(LibraryAndStub, GetTheSameErrors) {
  TestServer server;
  v1::ForwardRequest request = SmallForwardRequest();
  request.mutable_config()->set_num_groups(4);
  request.clear_weight();
  request.clear_bias();
  v1::ForwardResponse response;
  const grpc::Status expected = server.Forward(request, &response);
  EXPECT_EQ(expected.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ClientOf(server)->Forward(
                {.input = ViewOf(request.input()), .num_groups = 4}, {}),
            absl::InvalidArgumentError(expected.error_message()));
}

TEST(LibraryAndStub, GetTheSameServerInfo) {
  TestServer server;
  v1::GetServerInfoResponse expected;
  EXPECT_THAT(server.GetServerInfo(&expected), Succeeds());
  const absl::StatusOr<ServerInfo> info = ClientOf(server)->GetServerInfo();
  ASSERT_EQ(info.status(), absl::OkStatus());
  EXPECT_EQ(info->version, expected.version());
  EXPECT_EQ(info->max_message_bytes, expected.max_message_bytes());
  EXPECT_EQ(info->workers, expected.workers());
  EXPECT_EQ(info->simd_target, expected.simd_target());
  EXPECT_THAT(info->dtypes, ::testing::SizeIs(expected.dtypes_size()));
}

}  // namespace
}  // namespace groupnorm
