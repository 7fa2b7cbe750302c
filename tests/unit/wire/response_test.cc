#include "wire/response.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "groupnorm/v1/groupnorm.pb.h"
#include "tensor/buffer_pool.h"

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

// The generated message that the bytes are, which protobuf itself must encode
// to the same bytes: so every sub-message occurs once and no default is sent.
template <typename Message>
Message Canonical(const grpc::ByteBuffer& encoded) {
  const std::string bytes = BytesOf(encoded);
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  EXPECT_EQ(message.SerializeAsString(), bytes);
  return message;
}

Buffer Filled(BufferPool& pool, const std::string& bytes) {
  Buffer buffer = pool.Take(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return buffer;
}

void ExpectTensor(const v1::Tensor& tensor, v1::DataType dtype,
                  const std::vector<std::int64_t>& shape,
                  const std::string& data) {
  EXPECT_EQ(tensor.dtype(), dtype);
  EXPECT_EQ(
      std::vector<std::int64_t>(tensor.shape().begin(), tensor.shape().end()),
      shape);
  EXPECT_EQ(tensor.data(), data);
}

class ResponseEncoding : public ::testing::Test {
 protected:
  const std::string mean = std::string(32, 'm');
  const std::string rstd = std::string(32, 'r');
  const std::string output = std::string(1200, 'o');
  const ForwardResponseTensors forward = {
      .mean = {DataType::kFloat64, {2, 2}, mean.data()},
      .rstd = {DataType::kFloat64, {2, 2}, rstd.data()},
      .output = {DataType::kBfloat16, {2, 300}}};
  BufferPool pool{1 << 20};
};

TEST_F(ResponseEncoding, OfForwardIsWhatProtobufWouldWrite) {
  const grpc::ByteBuffer encoded =
      EncodeForwardResponse(forward, Filled(pool, output));
  EXPECT_EQ(EncodedBytes(forward), static_cast<std::int64_t>(encoded.Length()));
  const auto message = Canonical<v1::ForwardResponse>(encoded);
  ExpectTensor(message.statistics().mean(), v1::DATA_TYPE_FLOAT64, {2, 2},
               mean);
  ExpectTensor(message.statistics().rstd(), v1::DATA_TYPE_FLOAT64, {2, 2},
               rstd);
  ExpectTensor(message.output(), v1::DATA_TYPE_BFLOAT16, {2, 300}, output);
}

TEST_F(ResponseEncoding, SendsTheOutputFromItsBufferAndGivesItBack) {
  Buffer buffer = Filled(pool, output);
  const std::byte* const data = buffer.data();
  {
    const grpc::ByteBuffer encoded =
        EncodeForwardResponse(forward, std::move(buffer));
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(encoded.Dump(&slices).ok());
    ASSERT_EQ(slices.size(), 2u);
    EXPECT_EQ(static_cast<const void*>(slices[1].begin()),
              static_cast<const void*>(data));
    EXPECT_EQ(slices[1].size(), output.size());
    EXPECT_EQ(pool.idle_bytes(), 0u);
  }
  EXPECT_GE(pool.idle_bytes(), output.size());
}

TEST_F(ResponseEncoding, OfEmptyTensorsHoldsTheirShapes) {
  const ForwardResponseTensors response = {
      .mean = {DataType::kFloat64, {0, 2}, nullptr},
      .rstd = {DataType::kFloat64, {0, 2}, nullptr},
      .output = {DataType::kFloat32, {0, std::int64_t{1} << 40, 1}}};
  const grpc::ByteBuffer encoded = EncodeForwardResponse(response, Buffer());
  EXPECT_EQ(EncodedBytes(response),
            static_cast<std::int64_t>(encoded.Length()));
  const auto message = Canonical<v1::ForwardResponse>(encoded);
  ExpectTensor(message.statistics().mean(), v1::DATA_TYPE_FLOAT64, {0, 2}, "");
  ExpectTensor(message.output(), v1::DATA_TYPE_FLOAT32,
               {0, std::int64_t{1} << 40, 1}, "");
}

TEST_F(ResponseEncoding, OfBackwardHoldsTheGradientsAskedFor) {
  const std::string weight_data(24, 'w');
  const std::string bias_data(24, 'b');
  const std::string input_data(96, 'i');
  for (int wanted = 0; wanted < 8; ++wanted) {
    BackwardResponseTensors response;
    if (wanted & 1) {
      response.grad_weight =
          TensorView{DataType::kFloat32, {6}, weight_data.data()};
    }
    if (wanted & 2) {
      response.grad_bias =
          TensorView{DataType::kFloat32, {6}, bias_data.data()};
    }
    Buffer grad_input;
    if (wanted & 4) {
      response.grad_input =
          MutableTensorView{DataType::kFloat32, {2, 6, 2}, nullptr};
      grad_input = Filled(pool, input_data);
    }
    const grpc::ByteBuffer encoded =
        EncodeBackwardResponse(response, std::move(grad_input));
    EXPECT_EQ(EncodedBytes(response),
              static_cast<std::int64_t>(encoded.Length()));
    const auto message = Canonical<v1::BackwardResponse>(encoded);
    EXPECT_EQ(message.has_grad_weight(), (wanted & 1) != 0);
    EXPECT_EQ(message.has_grad_bias(), (wanted & 2) != 0);
    EXPECT_EQ(message.has_grad_input(), (wanted & 4) != 0);
    if (message.has_grad_weight()) {
      ExpectTensor(message.grad_weight(), v1::DATA_TYPE_FLOAT32, {6},
                   weight_data);
    }
    if (message.has_grad_bias()) {
      ExpectTensor(message.grad_bias(), v1::DATA_TYPE_FLOAT32, {6}, bias_data);
    }
    if (message.has_grad_input()) {
      ExpectTensor(message.grad_input(), v1::DATA_TYPE_FLOAT32, {2, 6, 2},
                   input_data);
    }
  }
}

TEST(EncodedBytes, CountsWhatNoMachineCouldHold) {
  constexpr std::int64_t kTebi = std::int64_t{1} << 40;
  const ForwardResponseTensors response = {
      .mean = {DataType::kFloat64, {kTebi, 1}, nullptr},
      .rstd = {DataType::kFloat64, {kTebi, 1}, nullptr},
      .output = {DataType::kFloat32, {kTebi, 1, 0}}};
  EXPECT_GT(EncodedBytes(response), 16 * kTebi);
  EXPECT_LT(EncodedBytes(response), 16 * kTebi + 100);
}

TEST(EncodedBytes, SaturatesInsteadOfOverflowing) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLargest = (std::int64_t{1} << 60) - 1;
  const TensorView largest = {DataType::kFloat64, {kLargest}, nullptr};
  const MutableTensorView output = {DataType::kFloat64, {kLargest}, nullptr};
  EXPECT_EQ(EncodedBytes(ForwardResponseTensors{largest, largest, output}),
            kMax);
  EXPECT_EQ(EncodedBytes(BackwardResponseTensors{largest, largest, output}),
            kMax);
  // Its elements alone nearly take that much.
  EXPECT_EQ(
      EncodedBytes(BackwardResponseTensors{std::nullopt, std::nullopt, output}),
      kMax);
}

}  // namespace
}  // namespace groupnorm
