#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "kernels/group_norm.h"
#include "server/execution.h"
#include "tensor/buffer_pool.h"
#include "wire/client_messages.h"
#include "wire/message_slices.h"

namespace groupnorm {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kHuge = std::int64_t{1} << 40;

constexpr RequestLimits kDefaults = {.max_message_bytes = 256 << 20,
                                     .max_queued_bytes = std::int64_t{2} << 30};

std::string TextOf(const absl::Status& status) {
  return std::string(status.message());
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

TEST(RequestBudget, AddsCountsTimesSizes) {
  RequestBudget budget;
  budget.Add(3, 8);
  budget.Add(0, kMax);
  budget.Add(5, 1);
  EXPECT_EQ(budget.bytes(), 29);
}

TEST(RequestBudget, SaturatesWhereItWouldOverflow) {
  RequestBudget product;
  product.Add(kMax / 4, 8);
  EXPECT_EQ(product.bytes(), kMax);
  product.Add(1, 1);
  EXPECT_EQ(product.bytes(), kMax);
  RequestBudget sum;
  sum.Add(kMax, 1);
  sum.Add(kMax, 1);
  EXPECT_EQ(sum.bytes(), kMax);
}

TEST(CheckLimits, NamesTheResponseBeforeTheMemory) {
  RequestBudget budget;
  budget.Add(11, 1);
  const RequestLimits limits = {.max_message_bytes = 5, .max_queued_bytes = 10};
  EXPECT_EQ(CheckLimits(6, budget, limits),
            absl::ResourceExhaustedError(
                "response: needs 6 bytes, limit 5 (--max-message-bytes)"));
  EXPECT_EQ(CheckLimits(5, budget, limits),
            absl::ResourceExhaustedError("request: needs 11 bytes of memory, "
                                         "limit 10 (--max-queued-bytes)"));
  EXPECT_EQ(CheckLimits(5, RequestBudget(), limits), absl::OkStatus());
}

TEST(ForwardNeeds, ExceedTheResponseWhereStatisticsAreManyOfNoElements) {
  // Two arrays of 2^40 float64 values and their headers.
  EXPECT_THAT(TextOf(CheckForwardNeeds(ForwardOf({kHuge, 1, 0}, 1), kDefaults)),
              StartsWith("response: needs 175921860444"));
  EXPECT_EQ(
      CheckForwardNeeds(ForwardOf({1, kHuge, 0}, kHuge), kDefaults).code(),
      absl::StatusCode::kResourceExhausted);
}

TEST(ForwardNeeds, AreSmallWhereManyChannelsHaveNoElements) {
  EXPECT_EQ(CheckForwardNeeds(ForwardOf({1, kHuge, 0}, 1), kDefaults),
            absl::OkStatus());
}

TEST(ForwardNeeds, CountEverythingThatIsAllocated) {
  const ForwardRequest request = ForwardOf({2, 6, 2, 4}, 3);
  const std::int64_t scratch = static_cast<std::int64_t>(ForwardScratchBytes(
      {.geometry = request.geometry, .dtype = request.input.dtype}));
  // Input and output, weight and bias, statistics twice: to compute and to
  // send.
  const std::int64_t least = 2 * 384 + 2 * 48 + 2 * 2 * 48 + scratch;
  const absl::Status status = CheckForwardNeeds(
      request, {.max_message_bytes = 1000, .max_queued_bytes = least - 1});
  EXPECT_THAT(TextOf(status), StartsWith("request: needs "));
  EXPECT_THAT(TextOf(status), EndsWith("(--max-queued-bytes)"));
  // The headers of the response's fields come on top.
  EXPECT_EQ(CheckForwardNeeds(request, {.max_message_bytes = 1000,
                                        .max_queued_bytes = least + 64}),
            absl::OkStatus());
}

TEST(ForwardNeeds, DoNotOverflowAtTheLargestShapes) {
  const std::int64_t most = (std::int64_t{1} << 60) - 1;
  for (const Shape& shape :
       {Shape{most, 1, 0}, Shape{1, most, 0}, Shape{0, most}, Shape{most, 1}}) {
    for (const DataType dtype : kDataTypes) {
      const std::int64_t channels = shape.extent(1);
      const absl::Status status =
          CheckForwardNeeds(ForwardOf(shape, channels, dtype), kDefaults);
      EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status))
          << shape.ToString() << " " << status;
    }
  }
  EXPECT_EQ(CheckForwardNeeds(ForwardOf({most, 1}, 1), kDefaults).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(BackwardNeeds, ExceedTheResponseWhereManyChannelsHaveNoElements) {
  EXPECT_THAT(
      TextOf(CheckBackwardNeeds(BackwardOf({1, kHuge, 0}, 1), kDefaults)),
      StartsWith("response: needs 87960930222"));
}

TEST(BackwardNeeds, DoNotCountGradientsThatAreNotWanted) {
  BackwardRequest request = BackwardOf({1, kHuge, 0}, 1);
  request.want_grad_weight = false;
  request.want_grad_bias = false;
  EXPECT_EQ(CheckBackwardNeeds(request, kDefaults), absl::OkStatus());
}

TEST(BackwardNeeds, CountARowForEverySampleWherePerSample) {
  BackwardRequest request = BackwardOf({1 << 14, 1 << 14, 0}, 1);
  EXPECT_EQ(CheckBackwardNeeds(request, kDefaults), absl::OkStatus());
  request.per_sample_gradients = true;
  EXPECT_THAT(TextOf(CheckBackwardNeeds(request, kDefaults)),
              StartsWith("response: needs 42949"));
}

TEST(BackwardNeeds, CountEverythingThatIsAllocated) {
  const BackwardRequest request = BackwardOf({2, 6, 2, 4}, 3);
  const std::int64_t scratch = static_cast<std::int64_t>(BackwardScratchBytes(
      {.geometry = request.geometry, .dtype = request.input.dtype}));
  // Three tensors; weight; two gradients in float64, rounded, and sent.
  const std::int64_t least = 3 * 384 + 48 + 2 * (48 + 24 + 24) + scratch;
  EXPECT_THAT(
      TextOf(CheckBackwardNeeds(
          request, {.max_message_bytes = 1000, .max_queued_bytes = least - 1})),
      StartsWith("request: needs "));
  EXPECT_EQ(CheckBackwardNeeds(request, {.max_message_bytes = 1000,
                                         .max_queued_bytes = least + 64}),
            absl::OkStatus());
}

TEST(BackwardNeeds, DoNotOverflowAtTheLargestShapes) {
  const std::int64_t most = (std::int64_t{1} << 60) - 1;
  for (const Shape& shape :
       {Shape{1, most, 0}, Shape{0, most}, Shape{1, most}, Shape{most, 1}}) {
    const BackwardRequest all = BackwardOf(shape, 1);
    EXPECT_EQ(CheckBackwardNeeds(all, kDefaults).code(),
              absl::StatusCode::kResourceExhausted)
        << shape.ToString();
    BackwardRequest only_input = all;
    only_input.want_grad_weight = false;
    only_input.want_grad_bias = false;
    EXPECT_EQ(CheckBackwardNeeds(only_input, kDefaults).ok(),
              shape.num_elements() == 0)
        << shape.ToString();
  }
}

// The memory that a request says it needs: granted exactly what each refusal
// asks for (the first may leave out scratch memory), it is accepted.
template <typename Prepare>
std::int64_t NeedOf(Prepare prepare, const MessageSlices& message) {
  BufferPool pool(0);
  RequestLimits limits = {.max_message_bytes = 256 << 20};
  for (int refusals = 0; refusals < 3; ++refusals) {
    const auto execution = prepare(message, limits, pool, [] {});
    if (execution.ok()) break;
    const std::string text = TextOf(execution.status());
    const std::size_t number = std::string("request: needs ").size();
    EXPECT_TRUE(
        absl::SimpleAtoi(text.substr(number, text.find(" bytes") - number),
                         &limits.max_queued_bytes))
        << text;
  }
  return limits.max_queued_bytes;
}

// What a request takes from the pool, all capacities rounded up.
template <typename Prepare>
std::int64_t TakenBy(Prepare prepare, const MessageSlices& message) {
  BufferPool pool(std::size_t{1} << 30);
  EXPECT_TRUE(prepare(message, kDefaults, pool, [] {}).ok());
  return static_cast<std::int64_t>(pool.idle_bytes());
}

// Sizes that the pool rounds up to themselves, but for scratch memory, which it
// may round up by an eighth. Statistics and parameters are counted once more,
// for the message that holds them beside the large tensor.
constexpr std::int64_t kElements = 65536;    // [16, 64, 8, 8]
constexpr std::int64_t kStatistics = 16384;  // Two of [16, 64], in FLOAT64.
constexpr std::int64_t kParameter = 512;     // [64], in FLOAT64.
// Tags, lengths and shapes of the response; alignment of the scratch memory.
constexpr std::int64_t kSmall = 256;

TEST(Needs, OfForwardAreWhatItTakes) {
  const std::vector<float> x(kElements);
  ForwardRequestFields fields;
  fields.num_groups = 64;
  fields.input = {DataType::kFloat32, {16, 64, 8, 8}, x.data()};
  const MessageSlices message(EncodeForwardRequest(fields));
  const std::int64_t need = NeedOf(&PrepareForward, message);
  const std::int64_t taken = TakenBy(&PrepareForward, message);
  EXPECT_GE(taken, 8 * kElements + 2 * kParameter + kStatistics);
  EXPECT_NEAR(static_cast<double>(need - kStatistics),
              static_cast<double>(taken), kSmall);
}

TEST(Needs, OfBackwardAreWhatItTakes) {
  const std::vector<float> x(kElements);
  BackwardRequestFields fields;
  fields.num_groups = 64;
  fields.grad_output = {DataType::kFloat32, {16, 64, 8, 8}, x.data()};
  fields.input = fields.grad_output;
  const MessageSlices message(EncodeBackwardRequest(fields));
  const std::int64_t need = NeedOf(&PrepareBackward, message);
  const std::int64_t taken = TakenBy(&PrepareBackward, message);
  // The weight, and both gradients of it in float64 and as they are sent.
  EXPECT_GE(taken, 12 * kElements + 4 * kParameter);
  const auto scratch_bytes = static_cast<std::int64_t>(BackwardScratchBytes(
      {.geometry = GroupGeometry::Of(fields.input.shape, fields.layout, 64)}));
  EXPECT_NEAR(
      static_cast<double>(need - kParameter), static_cast<double>(taken),
      static_cast<double>(kSmall) + static_cast<double>(scratch_bytes) / 8);
}

}  // namespace
}  // namespace groupnorm
