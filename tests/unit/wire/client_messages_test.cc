#include "wire/client_messages.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "groupnorm/v1/groupnorm.pb.h"
#include "wire/message_slices.h"
#include "wire_bytes.h"

namespace groupnorm {
namespace {

using wire_bytes::Delimited;
using wire_bytes::Tensor;
using wire_bytes::Whole;

std::string BytesOf(const grpc::ByteBuffer& message) {
  const MessageSlices slices(message);
  std::string bytes(slices.size(), '\0');
  slices.Copy({0, slices.size()}, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

v1::Tensor Generated(const TensorView& tensor) {
  v1::Tensor generated;
  generated.set_dtype(static_cast<v1::DataType>(tensor.dtype));
  for (const std::int64_t extent : tensor.shape.extents()) {
    generated.add_shape(extent);
  }
  if (tensor.data != nullptr) {
    generated.set_data(tensor.data, tensor.size_bytes());
  }
  return generated;
}

template <typename Fields, typename Request>
void GenerateConfig(const Fields& fields, Request& request) {
  v1::GroupNormConfig& config = *request.mutable_config();
  config.set_num_groups(fields.num_groups);
  if (fields.epsilon.has_value()) config.set_epsilon(*fields.epsilon);
  config.set_layout(static_cast<v1::Layout>(fields.layout));
}

template <typename Fields, typename Request>
void GenerateStatistics(const Fields& fields, Request& request) {
  if (fields.mean.has_value()) {
    *request.mutable_statistics()->mutable_mean() = Generated(*fields.mean);
  }
  if (fields.rstd.has_value()) {
    *request.mutable_statistics()->mutable_rstd() = Generated(*fields.rstd);
  }
}

class RequestEncoding : public ::testing::Test {
 protected:
  const std::string data = std::string(768, 'd');
  const TensorView tensor = {DataType::kFloat64, {2, 6, 8}, data.data()};
  const TensorView parameter = {DataType::kBfloat16, {6}, data.data()};
  const TensorView statistic = {DataType::kFloat64, {2, 3}, data.data()};
};

TEST_F(RequestEncoding, OfForwardIsWhatProtobufWouldWrite) {
  for (int options = 0; options < 64; ++options) {
    ForwardRequestFields fields;
    fields.num_groups = 3;
    fields.input = tensor;
    if (options & 1) fields.epsilon = 0.0;
    if (options & 2) fields.layout = Layout::kChannelsLast;
    if (options & 4) fields.weight = parameter;
    if (options & 8) fields.bias = parameter;
    if (options & 16) fields.mean = statistic;
    if (options & 32) fields.rstd = statistic;

    v1::ForwardRequest expected;
    GenerateConfig(fields, expected);
    if (fields.weight) *expected.mutable_weight() = Generated(*fields.weight);
    if (fields.bias) *expected.mutable_bias() = Generated(*fields.bias);
    GenerateStatistics(fields, expected);
    *expected.mutable_input() = Generated(fields.input);

    const grpc::ByteBuffer encoded = EncodeForwardRequest(fields);
    EXPECT_EQ(BytesOf(encoded), expected.SerializeAsString());
    EXPECT_EQ(EncodedBytes(fields),
              static_cast<std::int64_t>(encoded.Length()));
  }
}

TEST_F(RequestEncoding, OfBackwardIsWhatProtobufWouldWrite) {
  for (int options = 0; options < 1024; ++options) {
    BackwardRequestFields fields;
    fields.num_groups = 3;
    fields.grad_output = tensor;
    fields.input = tensor;
    if (options & 1) fields.epsilon = 1e-3;
    if (options & 2) fields.layout = Layout::kChannelsLast;
    if (options & 4) fields.weight = parameter;
    if (options & 8) fields.mean = statistic;
    if (options & 16) fields.rstd = statistic;
    fields.want_grad_input = (options & 32) != 0;
    fields.want_grad_weight = (options & 64) != 0;
    fields.want_grad_bias = (options & 128) != 0;
    fields.frozen_statistics = (options & 256) != 0;
    fields.per_sample_gradients = (options & 512) != 0;

    v1::BackwardRequest expected;
    GenerateConfig(fields, expected);
    if (fields.weight) *expected.mutable_weight() = Generated(*fields.weight);
    GenerateStatistics(fields, expected);
    if (fields.want_grad_input) expected.add_gradients(v1::GRADIENT_INPUT);
    if (fields.want_grad_weight) expected.add_gradients(v1::GRADIENT_WEIGHT);
    if (fields.want_grad_bias) expected.add_gradients(v1::GRADIENT_BIAS);
    expected.set_frozen_statistics(fields.frozen_statistics);
    expected.set_per_sample_gradients(fields.per_sample_gradients);
    *expected.mutable_grad_output() = Generated(fields.grad_output);
    *expected.mutable_input() = Generated(fields.input);

    const grpc::ByteBuffer encoded = EncodeBackwardRequest(fields);
    EXPECT_EQ(BytesOf(encoded), expected.SerializeAsString());
    EXPECT_EQ(EncodedBytes(fields),
              static_cast<std::int64_t>(encoded.Length()));
  }
}

TEST_F(RequestEncoding, LeavesTheServerToRejectWhatIsWrong) {
  ForwardRequestFields fields;
  fields.num_groups = -1;
  fields.weight = TensorView{DataType::kFloat32, {}, data.data()};
  fields.input = {DataType::kFloat16, {3, 0}, nullptr};
  v1::ForwardRequest expected;
  GenerateConfig(fields, expected);
  *expected.mutable_weight() = Generated(*fields.weight);
  *expected.mutable_input() = Generated(fields.input);
  EXPECT_EQ(BytesOf(EncodeForwardRequest(fields)),
            expected.SerializeAsString());
}

TEST_F(RequestEncoding, DoesNotPointIntoTheCallersMemory) {
  std::string callers = data;
  ForwardRequestFields fields;
  fields.num_groups = 3;
  fields.input = {DataType::kFloat64, {2, 6, 8}, callers.data()};
  const grpc::ByteBuffer encoded = EncodeForwardRequest(fields);
  const std::string before = BytesOf(encoded);
  callers.assign(callers.size(), 'x');
  EXPECT_EQ(BytesOf(encoded), before);
}

TEST_F(RequestEncoding, CountsMoreThanAMessageMayHoldWithoutOverflow) {
  const TensorView largest = {
      DataType::kFloat64, {(std::int64_t{1} << 60) - 1}, nullptr};
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  ForwardRequestFields forward;
  forward.weight = forward.input = largest;
  EXPECT_EQ(EncodedBytes(forward), kMax);
  BackwardRequestFields backward;
  backward.grad_output = backward.input = largest;
  EXPECT_EQ(EncodedBytes(backward), kMax);
}

// FLOAT64 [2, 3].
std::string StatisticBody() { return Tensor(2, {2, 3}, 48); }

std::string StatisticsField(const std::string& mean, const std::string& rstd) {
  return Delimited(1, Delimited(1, mean) + Delimited(2, rstd));
}

TEST(DecodeForwardResponse, ReturnsTheTensors) {
  const std::string output = Tensor(1, {2, 6}, 48);
  const std::string bytes =
      StatisticsField(StatisticBody(), StatisticBody()) + Delimited(15, output);
  const auto response = DecodeForwardResponse(Whole(bytes));
  ASSERT_EQ(response.status(), absl::OkStatus());
  EXPECT_EQ(response->mean.dtype, DataType::kFloat64);
  EXPECT_EQ(response->mean.shape, (Shape{2, 3}));
  EXPECT_LT(response->mean.data.offset, response->rstd.data.offset);
  EXPECT_EQ(response->rstd.data.size, 48u);
  EXPECT_EQ(response->output.dtype, DataType::kFloat32);
  EXPECT_EQ(response->output.shape, (Shape{2, 6}));
  EXPECT_EQ(response->output.data, (PayloadRange{bytes.size() - 48, 48}));
}

TEST(DecodeForwardResponse, BlamesTheServerForWhatIsNoResponse) {
  const std::string good = StatisticsField(StatisticBody(), StatisticBody());
  const std::string output = Delimited(15, Tensor(1, {2, 6}, 48));
  const std::string dtypes =
      "expected FLOAT32 (1), FLOAT64 (2), FLOAT16 (3) or BFLOAT16 (4)";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x0f", "response: not a valid ForwardResponse at byte 0"},
      {output, "statistics.mean: missing, expected a tensor"},
      {Delimited(1, Delimited(1, StatisticBody())) + output,
       "statistics.rstd: missing, expected a tensor"},
      {StatisticsField(Tensor(1, {2, 3}, 24), StatisticBody()) + output,
       "statistics.mean.dtype: FLOAT32, expected FLOAT64"},
      {StatisticsField(StatisticBody(), Tensor(3, {2, 3}, 12)) + output,
       "statistics.rstd.dtype: FLOAT16, expected FLOAT64"},
      {good, "output: missing, expected a tensor"},
      {good + Delimited(15, ""), "output.dtype: 0, " + dtypes},
      {good + Delimited(15, Tensor(1, {-2}, 8)),
       "output.shape: [-2], expected extents of 0 or more"},
      {good + Delimited(15, wire_bytes::VarintField(1, 1) +
                                Delimited(2, std::string(17, '\1'))),
       "output.shape: rank 17, expected rank 0 to 16"},
      {good + Delimited(15, Tensor(1, {2, 6}, 47)),
       "output.data: 47 bytes, expected 48 for FLOAT32 [2, 6]"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_EQ(DecodeForwardResponse(Whole(bytes)).status(),
              absl::InternalError(message));
  }
}

TEST(DecodeBackwardResponse, ReturnsTheGradientsThatAreThere) {
  const std::string weight = Delimited(1, Tensor(1, {6}, 24));
  const std::string bias = Delimited(2, Tensor(2, {2, 6}, 96));
  const std::string input = Delimited(15, Tensor(3, {2, 6, 1}, 24));
  for (int there = 0; there < 8; ++there) {
    const std::string bytes = (there & 1 ? weight : "") +
                              (there & 2 ? bias : "") +
                              (there & 4 ? input : "");
    const auto response = DecodeBackwardResponse(Whole(bytes));
    ASSERT_EQ(response.status(), absl::OkStatus());
    ASSERT_EQ(response->grad_weight.has_value(), (there & 1) != 0);
    ASSERT_EQ(response->grad_bias.has_value(), (there & 2) != 0);
    ASSERT_EQ(response->grad_input.has_value(), (there & 4) != 0);
    if (there & 1) {
      EXPECT_EQ(response->grad_weight->shape, (Shape{6}));
      EXPECT_EQ(response->grad_weight->dtype, DataType::kFloat32);
    }
    if (there & 2) {
      EXPECT_EQ(response->grad_bias->shape, (Shape{2, 6}));
      EXPECT_EQ(response->grad_bias->dtype, DataType::kFloat64);
    }
    if (there & 4) {
      EXPECT_EQ(response->grad_input->shape, (Shape{2, 6, 1}));
      EXPECT_EQ(response->grad_input->data.offset, bytes.size() - 24);
    }
  }
}

TEST(DecodeBackwardResponse, BlamesTheServerForWhatIsNoResponse) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x0a\x05", "response: not a valid BackwardResponse at byte 1"},
      {Delimited(1, Tensor(1, {6}, 20)),
       "grad_weight.data: 20 bytes, expected 24 for FLOAT32 [6]"},
      {Delimited(2, Tensor(1, {6}, 20)),
       "grad_bias.data: 20 bytes, expected 24 for FLOAT32 [6]"},
      {Delimited(15, Tensor(1, {6}, 20)),
       "grad_input.data: 20 bytes, expected 24 for FLOAT32 [6]"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_EQ(DecodeBackwardResponse(Whole(bytes)).status(),
              absl::InternalError(message));
  }
}

}  // namespace
}  // namespace groupnorm
