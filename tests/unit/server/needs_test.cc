#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "kernels/group_norm.h"
#include "server/execution.h"
#include "tensor/buffer_pool.h"
#include "wire/client_messages.h"
#include "wire/message_slices.h"

namespace groupnorm {
namespace {

using ::testing::StartsWith;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kHuge = std::int64_t{1} << 40;

constexpr RequestLimits kDefaults = {.max_message_bytes = 256 << 20,
                                     .max_queued_bytes = std::int64_t{2} << 30};

std::string TextOf(const absl::StatusOr<std::int64_t>& bytes) {
  return std::string(bytes.status().message());
}

TensorPayload PayloadOf(DataType dtype, const Shape& shape) {
  return {.dtype = dtype,
          .shape = shape,
          .data = {.size = static_cast<std::size_t>(shape.num_elements()) *
                           ElementSize(dtype)}};
}

ForwardRequest ForwardOf(const Shape& shape, std::int64_t num_groups,
                         DataType dtype = DataType::kFloat32) {
  ForwardRequest request;
  request.geometry =
      GroupGeometry::Of(shape, Layout::kChannelsFirst, num_groups);
  request.input = PayloadOf(dtype, shape);
  return request;
}

BackwardRequest BackwardOf(const Shape& shape, std::int64_t num_groups,
                           DataType dtype = DataType::kFloat32) {
  BackwardRequest request;
  request.geometry =
      GroupGeometry::Of(shape, Layout::kChannelsFirst, num_groups);
  request.input = PayloadOf(dtype, shape);
  request.grad_output = request.input;
  request.want_grad_input = true;
  request.want_grad_weight = true;
  request.want_grad_bias = true;
  return request;
}

TEST(RequestBudget, AddsBuffersAsThePoolRoundsThemUp) {
  RequestBudget budget;
  budget.AddBuffers(2, 3, 8);
  EXPECT_EQ(budget.bytes(), 2 * 64);
  budget.AddBuffers(1, 0, kMax);
  budget.Add(5);
  EXPECT_EQ(budget.bytes(), 2 * 64 + 5);
  budget.AddBuffers(1, 1025, 1);
  EXPECT_EQ(budget.bytes(), 2 * 64 + 5 + 1152);
}

TEST(RequestBudget, SaturatesWhereItWouldOverflow) {
  RequestBudget product;
  product.AddBuffers(2, kMax / 4, 8);
  EXPECT_EQ(product.bytes(), kMax);
  product.Add(1);
  EXPECT_EQ(product.bytes(), kMax);
  RequestBudget sum;
  sum.Add(kMax);
  sum.Add(kMax);
  EXPECT_EQ(sum.bytes(), kMax);
}

TEST(CheckResponse, NamesNeedLimitAndOption) {
  const RequestLimits limits = {.max_message_bytes = 5};
  EXPECT_EQ(CheckResponse(5, limits), absl::OkStatus());
  EXPECT_EQ(CheckResponse(6, limits),
            absl::ResourceExhaustedError(
                "response: needs 6 bytes, limit 5 (--max-message-bytes)"));
}

TEST(CheckMemory, NamesNeedLimitAndOption) {
  const RequestLimits limits = {.max_queued_bytes = 10};
  RequestBudget budget;
  budget.Add(10);
  EXPECT_EQ(CheckMemory(budget, limits).value(), 10);
  budget.Add(1);
  EXPECT_EQ(CheckMemory(budget, limits).status(),
            absl::ResourceExhaustedError("request: needs 11 bytes of memory, "
                                         "limit 10 (--max-queued-bytes)"));
}

TEST(ForwardNeeds, ExceedTheResponseWhereStatisticsAreManyOfNoElements) {
  // Two arrays of 2^40 float64 values and their headers.
  EXPECT_THAT(
      TextOf(ForwardMemoryBytes(ForwardOf({kHuge, 1, 0}, 1), kDefaults)),
      StartsWith("response: needs 175921860444"));
  EXPECT_EQ(ForwardMemoryBytes(ForwardOf({1, kHuge, 0}, kHuge), kDefaults)
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(ForwardNeeds, AreSmallWhereManyChannelsHaveNoElements) {
  // The shape and the statistics of one group.
  EXPECT_LT(ForwardMemoryBytes(ForwardOf({1, kHuge, 0}, 1), kDefaults).value(),
            1024);
}

TEST(ForwardNeeds, AreGrantedWhereTheLimitIsTheirTextsFigure) {
  const ForwardRequest request = ForwardOf({2, 6, 2, 4}, 3);
  RequestLimits limits = {.max_message_bytes = 1000};
  limits.max_queued_bytes = ForwardMemoryBytes(request, kDefaults).value();
  EXPECT_EQ(ForwardMemoryBytes(request, limits).value(),
            limits.max_queued_bytes);
  const std::string need = std::to_string(limits.max_queued_bytes--);
  EXPECT_EQ(TextOf(ForwardMemoryBytes(request, limits)),
            "request: needs " + need + " bytes of memory, limit " +
                std::to_string(limits.max_queued_bytes) +
                " (--max-queued-bytes)");
}

TEST(ForwardNeeds, DoNotOverflowAtTheLargestShapes) {
  const std::int64_t most = (std::int64_t{1} << 60) - 1;
  for (const Shape& shape :
       {Shape{most, 1, 0}, Shape{1, most, 0}, Shape{0, most}, Shape{most, 1}}) {
    for (const DataType dtype : kDataTypes) {
      const std::int64_t channels = shape.extent(1);
      const absl::Status status =
          ForwardMemoryBytes(ForwardOf(shape, channels, dtype), kDefaults)
              .status();
      EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status))
          << shape.ToString() << " " << status;
    }
  }
  EXPECT_EQ(
      ForwardMemoryBytes(ForwardOf({most, 1}, 1), kDefaults).status().code(),
      absl::StatusCode::kResourceExhausted);
}

TEST(BackwardNeeds, ExceedTheResponseWhereManyChannelsHaveNoElements) {
  EXPECT_THAT(
      TextOf(BackwardMemoryBytes(BackwardOf({1, kHuge, 0}, 1), kDefaults)),
      StartsWith("response: needs 87960930222"));
}

TEST(BackwardNeeds, DoNotCountGradientsThatAreNotWanted) {
  BackwardRequest request = BackwardOf({1, kHuge, 0}, 1);
  request.want_grad_weight = false;
  request.want_grad_bias = false;
  EXPECT_LT(BackwardMemoryBytes(request, kDefaults).value(), 1024);
}

TEST(BackwardNeeds, CountARowForEverySampleWherePerSample) {
  BackwardRequest request = BackwardOf({1 << 14, 1 << 14, 0}, 1);
  EXPECT_TRUE(BackwardMemoryBytes(request, kDefaults).ok());
  request.per_sample_gradients = true;
  EXPECT_THAT(TextOf(BackwardMemoryBytes(request, kDefaults)),
              StartsWith("response: needs 42949"));
}

TEST(BackwardNeeds, DoNotOverflowAtTheLargestShapes) {
  const std::int64_t most = (std::int64_t{1} << 60) - 1;
  for (const Shape& shape :
       {Shape{1, most, 0}, Shape{0, most}, Shape{1, most}, Shape{most, 1}}) {
    const BackwardRequest all = BackwardOf(shape, 1);
    EXPECT_EQ(BackwardMemoryBytes(all, kDefaults).status().code(),
              absl::StatusCode::kResourceExhausted)
        << shape.ToString();
    BackwardRequest only_input = all;
    only_input.want_grad_weight = false;
    only_input.want_grad_bias = false;
    EXPECT_EQ(BackwardMemoryBytes(only_input, kDefaults).ok(),
              shape.num_elements() == 0)
        << shape.ToString();
  }
}

// What a request takes from the pool, all capacities rounded up. It must be
// exact: what a request takes beyond its share, nobody bounds.
std::int64_t TakenBy(PreparedRequest prepared) {
  BufferPool pool(std::size_t{1} << 30);
  prepared.begin(pool, [] {});
  return static_cast<std::int64_t>(pool.idle_bytes());
}

// What it needs beside the pool: the part of the response that is not the large
// tensor's memory.
std::int64_t HeaderOf(PreparedRequest prepared, std::int64_t tensor_bytes) {
  BufferPool pool(0);
  const auto execution = prepared.begin(pool, [] {});
  RunComputation(*execution);
  return static_cast<std::int64_t>(execution->TakeResponse().Length()) -
         tensor_bytes;
}

TEST(Needs, OfForwardAreWhatItTakes) {
  for (const std::int64_t extent : {1, 7, 8, 100}) {
    const std::vector<float> x(static_cast<std::size_t>(6 * 64 * extent));
    ForwardRequestFields fields;
    fields.num_groups = 16;
    fields.input = {DataType::kFloat32, {6, 64, extent}, x.data()};
    const MessageSlices message(EncodeForwardRequest(fields));
    const PreparedRequest prepared = PrepareForward(message, kDefaults).value();
    EXPECT_EQ(prepared.memory_bytes,
              TakenBy(prepared) +
                  HeaderOf(prepared,
                           static_cast<std::int64_t>(x.size() * sizeof(float))))
        << extent;
  }
}

TEST(Needs, OfBackwardAreWhatItTakes) {
  for (const bool per_sample : {false, true}) {
    for (const std::int64_t extent : {1, 7, 8, 100}) {
      const std::vector<float> x(static_cast<std::size_t>(6 * 64 * extent));
      BackwardRequestFields fields;
      fields.num_groups = 16;
      fields.per_sample_gradients = per_sample;
      fields.grad_output = {DataType::kFloat32, {6, 64, extent}, x.data()};
      fields.input = fields.grad_output;
      const MessageSlices message(EncodeBackwardRequest(fields));
      const PreparedRequest prepared =
          PrepareBackward(message, kDefaults).value();
      EXPECT_EQ(
          prepared.memory_bytes,
          TakenBy(prepared) + HeaderOf(prepared, static_cast<std::int64_t>(
                                                     x.size() * sizeof(float))))
          << extent;
    }
  }
}

}  // namespace
}  // namespace groupnorm
