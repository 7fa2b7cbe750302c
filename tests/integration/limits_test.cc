#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::int64_t kMebibyte = 1 << 20;
constexpr std::int64_t kHuge = std::int64_t{1} << 40;

// What a call may add to the resident memory beside its message: the stacks and
// arenas of threads that serve it for the first time.
constexpr std::int64_t kSlackBytes = 4 * kMebibyte;

// A server process whose resident memory is watched during one call.
class LimitsTest : public ::testing::Test {
 protected:
  LimitsTest()
      : server({"--listen=127.0.0.1:0", "--workers=2"}),
        channel(Connect(server.addresses().front())) {
    // So that the first call's own cost is not counted.
    v1::ForwardResponse response;
    EXPECT_THAT(CallForward(channel, SmallForwardRequest(), &response),
                Succeeds());
  }

  // Makes a call, prints how long it took, and expects the peak of the server's
  // memory to grow by at most `message_bytes` and the slack.
  template <typename Call>
  grpc::Status Measure(std::int64_t message_bytes, Call call) {
    server.ResetPeak();
    const std::int64_t before = server.PeakResidentBytes();
    const absl::Time start = absl::Now();
    grpc::Status status = call();
    std::cout << "took " << absl::Now() - start << "\n";
    if (kMemoryIsMeasurable) {
      EXPECT_LE(server.PeakResidentBytes() - before,
                message_bytes + kSlackBytes);
    }
    return status;
  }

  grpc::Status Forward(const v1::ForwardRequest& request) {
    return Measure(0, [&] {
      v1::ForwardResponse response;
      return CallForward(channel, request, &response);
    });
  }

  grpc::Status Send(const std::string& method, const std::string& message,
                    std::int64_t message_bytes = 0) {
    return Measure(message_bytes, [&] {
      RawCall call(channel, method);
      call.Send(message);
      return call.Finish();
    });
  }

  static v1::ForwardRequest EmptyForward(const std::vector<std::int64_t>& shape,
                                         std::int64_t num_groups) {
    v1::ForwardRequest request;
    request.mutable_config()->set_num_groups(num_groups);
    *request.mutable_input() = TensorWithoutData(DataType::kFloat32, shape);
    return request;
  }

  static v1::BackwardRequest EmptyBackward(
      const std::vector<std::int64_t>& shape, std::int64_t num_groups) {
    v1::BackwardRequest request;
    request.mutable_config()->set_num_groups(num_groups);
    *request.mutable_input() = TensorWithoutData(DataType::kFloat32, shape);
    *request.mutable_grad_output() = request.input();
    return request;
  }

  static auto ResponseTooLarge() {
    return FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                     AllOf(StartsWith("response: needs "),
                           EndsWith(" bytes, limit 268435456 "
                                    "(--max-message-bytes)")));
  }

  ServerProcess server;
  std::shared_ptr<grpc::Channel> channel;
};

TEST_F(LimitsTest, RefuseStatisticsOfManyEmptySamples) {
  EXPECT_THAT(Forward(EmptyForward({kHuge, 1, 0}, 1)), ResponseTooLarge());
}

TEST_F(LimitsTest, RefuseStatisticsOfManyEmptyGroups) {
  EXPECT_THAT(Forward(EmptyForward({1, kHuge, 0}, kHuge)), ResponseTooLarge());
}

TEST_F(LimitsTest, AllowManyEmptyChannelsInOneGroup) {
  EXPECT_THAT(Forward(EmptyForward({1, kHuge, 0}, 1)), Succeeds());
}

TEST_F(LimitsTest, RefuseGradientsOfManyEmptyChannels) {
  for (const std::int64_t num_groups : {std::int64_t{1}, kHuge}) {
    EXPECT_THAT(
        Send("Backward",
             EmptyBackward({1, kHuge, 0}, num_groups).SerializeAsString()),
        ResponseTooLarge());
  }
}

TEST_F(LimitsTest, AllowTheInputGradientOfManyEmptyChannels) {
  v1::BackwardRequest request = EmptyBackward({1, kHuge, 0}, kHuge);
  request.add_gradients(v1::GRADIENT_INPUT);
  EXPECT_THAT(Send("Backward", request.SerializeAsString()), Succeeds());
}

TEST_F(LimitsTest, AllowGradientsOfManyEmptySamplesUnlessPerSample) {
  v1::BackwardRequest request = EmptyBackward({kHuge, 1, 0}, 1);
  EXPECT_THAT(Send("Backward", request.SerializeAsString()), Succeeds());
  request.set_per_sample_gradients(true);
  EXPECT_THAT(Send("Backward", request.SerializeAsString()),
              ResponseTooLarge());
}

TEST_F(LimitsTest, RefuseTenMillionExtentsWithoutStoringThem) {
  v1::ForwardRequest request = EmptyForward({}, 1);
  request.mutable_input()->mutable_shape()->Resize(10'000'000, 1);
  const std::string message = request.SerializeAsString();
  EXPECT_THAT(
      Send("Forward", message, static_cast<std::int64_t>(message.size())),
      FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                AllOf(StartsWith("input.shape: rank 10000000"),
                      HasSubstr("expected rank 2 to 16"))));
}

TEST_F(LimitsTest, RefuseACompressedMessageWithoutUnpackingIt) {
  // 1 GiB of zeros, which share the memory of one slice here.
  const grpc::Slice zeros(std::string(kMebibyte, '\0'));
  const std::vector<grpc::Slice> slices(1024, zeros);
  const grpc::ByteBuffer message(slices.data(), slices.size());
  EXPECT_THAT(Measure(0,
                      [&] {
                        RawCall call(channel, "Forward",
                                     std::chrono::minutes(5),
                                     GRPC_COMPRESS_GZIP);
                        call.Send(message);
                        return call.Finish();
                      }),
              FailsWith(grpc::StatusCode::UNIMPLEMENTED, HasSubstr("gzip")));
}

TEST(Limits, LetGrpcNameTheSizesOfAnOversizedMessage) {
  ServerOptions options = LoopbackOptions();
  options.max_message_bytes = 1000;
  TestServer server(options);
  v1::ForwardRequest request = SmallForwardRequest();
  *request.mutable_bias() = RandomTensor(DataType::kFloat64, {200}, 1);
  v1::ForwardResponse response;
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(
        server.Forward(request, &response),
        FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                  AllOf(HasSubstr("larger than max"),
                        HasSubstr(std::to_string(request.ByteSizeLong())),
                        HasSubstr("1000"))));
  }
  EXPECT_THAT(server.Forward(SmallForwardRequest(), &response), Succeeds());
}

TEST(Limits, AllowAMessageOfExactlyTheLimit) {
  const v1::BackwardRequest request = SmallBackwardRequest();
  v1::BackwardResponse response;
  ServerOptions options = LoopbackOptions();
  options.max_message_bytes = static_cast<std::int64_t>(request.ByteSizeLong());
  EXPECT_THAT(TestServer(options).Backward(request, &response), Succeeds());
  options.max_message_bytes -= 1;
  EXPECT_EQ(TestServer(options).Backward(request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(Limits, AllowAResponseOfExactlyTheLimit) {
  // Four bytes of input and sixteen of statistics a sample: the response is the
  // larger one.
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(1);
  *request.mutable_input() = RandomTensor(DataType::kFloat32, {64, 1}, 1);
  v1::ForwardResponse response;
  ASSERT_THAT(TestServer().Forward(request, &response), Succeeds());
  ServerOptions options = LoopbackOptions();
  options.max_message_bytes =
      static_cast<std::int64_t>(response.ByteSizeLong());
  ASSERT_GT(response.ByteSizeLong(), request.ByteSizeLong());
  EXPECT_THAT(TestServer(options).Forward(request, &response), Succeeds());
  const std::string need = std::to_string(options.max_message_bytes);
  options.max_message_bytes -= 1;
  EXPECT_THAT(TestServer(options).Forward(request, &response),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "response: needs " + need + " bytes, limit " +
                            std::to_string(options.max_message_bytes) +
                            " (--max-message-bytes)"));
}

// No less is allowed with that message size.
ServerOptions WithLittleMemory() {
  ServerOptions options = LoopbackOptions();
  options.max_message_bytes = 1000;
  options.max_queued_bytes = 2000;
  return options;
}

// A hundred parameters in float64 take more than the tensors.
v1::Tensor ManyChannels() {
  return RandomTensor(DataType::kFloat16, {1, 100, 1}, 1);
}

TEST(Limits, RefuseARequestThatNeedsTooMuchMemory) {
  TestServer server(WithLittleMemory());
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(1);
  *request.mutable_input() = ManyChannels();
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(request, &response),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        AllOf(StartsWith("request: needs "),
                              EndsWith(" bytes of memory, limit 2000 "
                                       "(--max-queued-bytes)"))));
  v1::BackwardRequest backward;
  *backward.mutable_config() = request.config();
  *backward.mutable_input() = ManyChannels();
  *backward.mutable_grad_output() = ManyChannels();
  v1::BackwardResponse gradients;
  EXPECT_THAT(server.Backward(backward, &gradients),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        StartsWith("request: needs ")));
}

TEST(Limits, CheckTheContractBeforeTheSizes) {
  TestServer server(WithLittleMemory());
  v1::ForwardRequest request = SmallForwardRequest();
  request.mutable_weight()->clear_dtype();
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(request, &response),
              FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                        StartsWith("weight.dtype: ")));
}

}  // namespace
}  // namespace groupnorm
