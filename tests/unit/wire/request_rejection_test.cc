// Every rejection of the contract: its whole text, and which failure of several
// is the one that is reported.

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "request_bodies.h"
#include "wire/message_slices.h"
#include "wire/request.h"
#include "wire_bytes.h"

namespace groupnorm {
namespace {

using wire_bytes::Delimited;
using wire_bytes::DoubleField;
using wire_bytes::Packed;
using wire_bytes::Tensor;
using wire_bytes::VarintField;
using wire_bytes::Whole;

std::uint64_t Negative(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

absl::Status Forward(const Bodies& bodies) {
  return DecodeForwardRequest(Whole(ForwardBytes(bodies))).status();
}

absl::Status Backward(const Bodies& bodies) {
  return DecodeBackwardRequest(Whole(BackwardBytes(bodies))).status();
}

using Change = std::function<void(Bodies&)>;

// A change to a request, and the rejection with it.
struct Rejected {
  std::string message;
  Change change;
};

Change Config(const std::string& body) {
  return [=](Bodies& b) { b.config = body; };
}

Change Input(const std::string& body) {
  return [=](Bodies& b) { b.input = body; };
}

Change Weight(const std::string& body) {
  return [=](Bodies& b) { b.weight = body; };
}

Change Bias(const std::string& body) {
  return [=](Bodies& b) { b.bias = body; };
}

Change GradOutput(const std::string& body) {
  return [=](Bodies& b) { b.grad_output = body; };
}

Change OtherFields(const std::string& fields) {
  return [=](Bodies& b) { b.other_fields = fields; };
}

Change StatisticsBody(const std::string& body) {
  return [=](Bodies& b) { b.statistics = body; };
}

const std::string kDtypes =
    "expected FLOAT32 (1), FLOAT64 (2), FLOAT16 (3) or BFLOAT16 (4)";

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

template <typename Decode>
void ExpectRejected(const std::vector<Rejected>& rejections, Decode decode) {
  for (const Rejected& rejected : rejections) {
    Bodies bodies;
    rejected.change(bodies);
    EXPECT_EQ(decode(bodies), absl::InvalidArgumentError(rejected.message));
  }
}

// For fields that both requests have.
void ExpectRejectedByBoth(const std::vector<Rejected>& rejections) {
  ExpectRejected(rejections, Forward);
  ExpectRejected(rejections, [](Bodies bodies) {
    // A grad_output unlike the input would be reported before a weight.
    if (bodies.input.has_value()) bodies.grad_output = bodies.input;
    return Backward(bodies);
  });
}

TEST(RequestRejection, NamesFaultsOfTheConfig) {
  const std::string half = Tensor(kFloat64, {2, 3}, 48);
  ExpectRejectedByBoth({
      {"config.num_groups: 0, expected 1 or more",
       [](Bodies& b) { b.config.reset(); }},
      {"config.num_groups: 0, expected 1 or more", Config("")},
      {"config.num_groups: -3, expected 1 or more",
       Config(VarintField(1, Negative(-3)))},
      {"config.num_groups: 4, expected a divisor of the 6 channels of input",
       Config(VarintField(1, 4))},
      {"config.num_groups: 12, expected a divisor of the 6 channels of input",
       Config(VarintField(1, 12))},
      {"config.num_groups: 3, expected a divisor of the 4 channels of input",
       Config(VarintField(1, 3) + VarintField(3, 2))},
      {"config.epsilon: -1e-05, expected a finite number, 0 or more",
       Config(WithEpsilon(-1e-5))},
      {"config.epsilon: -5e-324, expected a finite number, 0 or more",
       Config(WithEpsilon(-5e-324))},
      {"config.epsilon: inf, expected a finite number, 0 or more",
       Config(WithEpsilon(kInfinity))},
      {"config.epsilon: -inf, expected a finite number, 0 or more",
       Config(WithEpsilon(-kInfinity))},
      {"config.epsilon: nan, expected a finite number, 0 or more",
       Config(WithEpsilon(std::numeric_limits<double>::quiet_NaN()))},
      // Checked even where it is of no use.
      {"config.epsilon: -1, expected a finite number, 0 or more",
       [=](Bodies& b) {
         b.config = WithEpsilon(-1);
         b.statistics = Statistics(half, half);
       }},
      {"config.layout: 3, expected CHANNELS_FIRST (1), CHANNELS_LAST (2) or "
       "unset (0)",
       Config(VarintField(1, 3) + VarintField(3, 3))},
      {"config.layout: -1, expected CHANNELS_FIRST (1), CHANNELS_LAST (2) or "
       "unset (0)",
       Config(VarintField(1, 3) + VarintField(3, Negative(-1)))},
  });
}

TEST(RequestRejection, NamesFaultsOfTheInput) {
  std::string ten_million_extents;
  ten_million_extents.resize(10'000'000, '\1');
  ExpectRejectedByBoth({
      {"input: missing, expected a tensor", [](Bodies& b) { b.input.reset(); }},
      {"input.dtype: 0, " + kDtypes, Input("")},
      {"input.dtype: 5, " + kDtypes, Input(Tensor(5, {2, 6, 2, 4}, 384))},
      {"input.dtype: -1, " + kDtypes,
       Input(Tensor(Negative(-1), {2, 6, 2, 4}, 384))},
      {"input.shape: [], expected rank 2 to 16",
       Input(Tensor(kFloat32, {}, 4))},
      {"input.shape: [6], expected rank 2 to 16",
       Input(Tensor(kFloat32, {6}, 24))},
      {"input.shape: rank 17, expected rank 2 to 16",
       Input(Tensor(kFloat32,
                    {1, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 24))},
      {"input.shape: rank 10000000, expected rank 2 to 16",
       Input(VarintField(1, kFloat32) + Delimited(2, ten_million_extents))},
      {"input.shape: [2, -6, 2, 4], expected extents of 0 or more",
       Input(Tensor(kFloat32, {2, -6, 2, 4}, 384))},
      {"input.shape: [0, 6, -9223372036854775808], expected extents of 0 or "
       "more",
       Input(Tensor(kFloat32, {0, 6, kLowest}, 0))},
      {"input.shape: [2, 6, 9223372036854775807], expected a product below "
       "2^60 (zeros counted as ones)",
       Input(Tensor(kFloat32, {2, 6, ~kLowest}, 384))},
      // Its bytes would fit, but not those of elements of 8 bytes.
      {"input.shape: [0, 6, 192153584101141163], expected a product below 2^60 "
       "(zeros counted as ones)",
       Input(Tensor(kFloat32, {0, 6, 192'153'584'101'141'163}, 0))},
      {"input.shape: [2, 0, 2, 4], expected 1 channel or more",
       Input(Tensor(kFloat32, {2, 0, 2, 4}, 0))},
      {"input.shape: [2, 6, 2, 0], expected 1 channel or more",
       [](Bodies& b) {
         b.config = VarintField(1, 3) + VarintField(3, 2);
         b.input = Tensor(kFloat32, {2, 6, 2, 0}, 0);
       }},
      {"input.data: 380 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]",
       Input(Tensor(kFloat32, {2, 6, 2, 4}, 380))},
      {"input.data: 384 bytes, expected 768 for FLOAT64 [2, 6, 2, 4]",
       Input(Tensor(kFloat64, {2, 6, 2, 4}, 384))},
      {"input.data: 384 bytes, expected 192 for FLOAT16 [2, 6, 2, 4]",
       Input(Tensor(kFloat16, {2, 6, 2, 4}, 384))},
      {"input.data: 193 bytes, expected 192 for BFLOAT16 [2, 6, 2, 4]",
       Input(Tensor(kBfloat16, {2, 6, 2, 4}, 193))},
      {"input.data: 0 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]",
       Input(VarintField(1, kFloat32) + Packed(2, {2, 6, 2, 4}))},
      {"input.data: 4 bytes, expected 0 for FLOAT32 [0, 6]",
       Input(Tensor(kFloat32, {0, 6}, 4))},
      {"input.data: 8 bytes, expected 4611686018427387888 for FLOAT32 [1, 6, "
       "192153584101141162]",
       Input(Tensor(kFloat32, {1, 6, 192'153'584'101'141'162}, 8))},
  });
}

TEST(RequestRejection, NamesFaultsOfTheWeight) {
  ExpectRejectedByBoth({
      {"weight.dtype: 0, " + kDtypes, Weight("")},
      {"weight.dtype: 9, " + kDtypes, Weight(Tensor(9, {6}, 24))},
      {"weight.shape: [5], expected [6]", Weight(Tensor(kFloat32, {5}, 20))},
      {"weight.shape: [], expected [6]", Weight(Tensor(kFloat32, {}, 24))},
      {"weight.shape: [1, 6], expected [6]",
       Weight(Tensor(kFloat32, {1, 6}, 24))},
      {"weight.shape: [-6], expected [6]", Weight(Tensor(kFloat32, {-6}, 24))},
      {"weight.shape: rank 18, expected [6]",
       Weight(VarintField(1, kFloat32) + Delimited(2, std::string(18, '\6')))},
      {"weight.data: 24 bytes, expected 48 for FLOAT64 [6]",
       Weight(Tensor(kFloat64, {6}, 24))},
  });
}

TEST(RequestRejection, NamesFaultsOfTheStatistics) {
  const std::string half = Tensor(kFloat64, {2, 3}, 48);
  ExpectRejectedByBoth({
      {"statistics.mean: missing, expected a tensor", StatisticsBody("")},
      {"statistics.mean: missing, expected a tensor",
       StatisticsBody(Delimited(2, half))},
      {"statistics.rstd: missing, expected a tensor",
       StatisticsBody(Delimited(1, half))},
      {"statistics.mean.dtype: 0, " + kDtypes,
       StatisticsBody(Statistics("", half))},
      {"statistics.rstd.dtype: 7, " + kDtypes,
       StatisticsBody(Statistics(half, Tensor(7, {2, 3}, 48)))},
      {"statistics.mean.shape: [2, 6], expected [2, 3]",
       StatisticsBody(Statistics(Tensor(kFloat64, {2, 6}, 96), half))},
      {"statistics.rstd.shape: [6], expected [2, 3]",
       StatisticsBody(Statistics(half, Tensor(kFloat64, {6}, 48)))},
      {"statistics.mean.data: 40 bytes, expected 48 for FLOAT64 [2, 3]",
       StatisticsBody(Statistics(Tensor(kFloat64, {2, 3}, 40), half))},
      {"statistics.rstd.data: 48 bytes, expected 12 for BFLOAT16 [2, 3]",
       StatisticsBody(Statistics(half, Tensor(kBfloat16, {2, 3}, 48)))},
  });
}

TEST(RequestRejection, NamesFaultsOfTheBias) {
  ExpectRejected(
      {{"bias.dtype: 0, " + kDtypes, Bias("")},
       {"bias.shape: [7], expected [6]", Bias(Tensor(kFloat32, {7}, 28))},
       {"bias.data: 13 bytes, expected 12 for FLOAT16 [6]",
        Bias(Tensor(kFloat16, {6}, 13))}},
      Forward);
}

TEST(RequestRejection, NamesFaultsOfGradOutput) {
  ExpectRejected(
      {{"grad_output: missing, expected a tensor",
        [](Bodies& b) { b.grad_output.reset(); }},
       {"grad_output.dtype: 0, " + kDtypes, GradOutput("")},
       {"grad_output.dtype: FLOAT64, expected FLOAT32 as input",
        GradOutput(Tensor(kFloat64, {2, 6, 2, 4}, 768))},
       {"grad_output.shape: [2, 6, 4, 2], expected [2, 6, 2, 4] as input",
        GradOutput(Tensor(kFloat32, {2, 6, 4, 2}, 384))},
       {"grad_output.shape: [2, 6, 8], expected [2, 6, 2, 4] as input",
        GradOutput(Tensor(kFloat32, {2, 6, 8}, 384))},
       {"grad_output.shape: rank 20, expected [2, 6, 2, 4] as input",
        GradOutput(VarintField(1, kFloat32) +
                   Delimited(2, std::string(20, '\2')))},
       {"grad_output.data: 383 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]",
        GradOutput(Tensor(kFloat32, {2, 6, 2, 4}, 383))}},
      Backward);
}

TEST(RequestRejection, NamesTheFirstGradientThatIsNone) {
  const std::string expected =
      ", expected GRADIENT_INPUT (1), GRADIENT_WEIGHT (2) or GRADIENT_BIAS (3)";
  ExpectRejected(
      {{"gradients: 0" + expected, OtherFields(VarintField(4, 0))},
       {"gradients: 4" + expected, OtherFields(Packed(4, {1, 4, 9, 2}))},
       {"gradients: -2" + expected,
        OtherFields(Packed(4, {1, 2}) + VarintField(4, Negative(-2)) +
                    Packed(4, {7}))}},
      Backward);
}

TEST(RequestRejection, NamesFrozenStatisticsWithoutStatistics) {
  ExpectRejected(
      {{"frozen_statistics: true, expected false where statistics is missing",
        OtherFields(VarintField(5, 1))}},
      Backward);
}

TEST(RequestRejection, NamesTheByteThatMakesItNoMessage) {
  struct Case {
    std::string bytes;
    int byte;
  };
  const std::string valid = ForwardBytes({});
  const std::vector<Case> cases = {
      {std::string("\0", 1), 0},                // Field 0.
      {"\x0f", 0},                              // Wire type 7.
      {"\x0c", 0},                              // End of a group never begun.
      {"\x0a", 1},                              // No length.
      {std::string("\x0a\x02\x08", 3), 1},      // Less than the length says.
      {std::string("\x0a\x02\x08\x80", 4), 3},  // Varint cut off.
      {std::string("\x0a\x03\x11\0\0", 5), 3},  // Fixed64 cut off.
      {"\x7a\x03\x7a\x02.", 3},                 // Beyond the sub-message.
      {wire_bytes::Tag(9, 3), 1},               // Group never ended.
      {wire_bytes::Tag(9, 3) + wire_bytes::Tag(8, 4), 1},
      {wire_bytes::NestedGroups(9, 101), 100},
      {valid + '\x07', static_cast<int>(valid.size())},
  };
  for (const Case& c : cases) {
    const std::string at = " at byte " + std::to_string(c.byte);
    EXPECT_EQ(
        DecodeForwardRequest(Whole(c.bytes)).status(),
        absl::InvalidArgumentError("request: not a valid ForwardRequest" + at));
    EXPECT_EQ(DecodeBackwardRequest(Whole(c.bytes)).status(),
              absl::InvalidArgumentError(
                  "request: not a valid BackwardRequest" + at));
  }
}

// An unknown field of `length` bytes, which share their memory.
MessageSlices MessageWithUnknownBytes(std::size_t length) {
  const std::string header = wire_bytes::Tag(9, 2) + wire_bytes::Varint(length);
  std::vector<grpc::Slice> slices = {grpc::Slice(header)};
  const grpc::Slice block(std::size_t{1} << 26);
  for (; length > block.size(); length -= block.size()) slices.push_back(block);
  slices.push_back(block.sub(0, length));
  return MessageSlices(std::move(slices));
}

// protobuf keeps the last 16 lengths below 2^31 for itself.
TEST(RequestRejection, OfHugeFieldsBeginsWhereThatOfProtobufDoes) {
  EXPECT_EQ(
      DecodeForwardRequest(MessageWithUnknownBytes(2'147'483'631)).status(),
      absl::InvalidArgumentError("config.num_groups: 0, expected 1 or more"));
  EXPECT_EQ(
      DecodeForwardRequest(MessageWithUnknownBytes(2'147'483'632)).status(),
      absl::InvalidArgumentError(
          "request: not a valid ForwardRequest at byte 1"));
}

// Each step begins with a request that has this fault, the first of several,
// and ends with the change that mends it.
template <typename Decode>
void ExpectMendedStepByStep(Bodies bodies, const std::vector<Rejected>& steps,
                            Decode decode) {
  for (const Rejected& step : steps) {
    const std::string text(decode(bodies).message());
    EXPECT_EQ(text.substr(0, step.message.size()), step.message);
    step.change(bodies);
  }
  EXPECT_EQ(decode(bodies), absl::OkStatus());
}

TEST(RequestRejection, OfForwardFollowsTheOrderOfTheContract) {
  const std::string bad_values = DoubleField(2, -1) + VarintField(3, 8);
  const std::string bad_layout = VarintField(3, 8);
  const std::string groups_of_four = VarintField(1, 4);
  const std::string bad = Tensor(0, {1}, 1);
  const std::string good = Tensor(kFloat32, {2, 3}, 24);
  Bodies bodies;
  bodies.other_fields = "\x07";
  bodies.config = bad_values;
  bodies.input.reset();
  bodies.weight = bad;
  bodies.bias = bad;
  bodies.statistics = Delimited(2, bad);
  ExpectMendedStepByStep(
      bodies,
      {{"request:", [](Bodies& b) { b.other_fields.clear(); }},
       {"config.num_groups:", Config(groups_of_four + bad_values)},
       {"config.epsilon:", Config(groups_of_four + bad_layout)},
       {"config.layout:", Config(groups_of_four)},
       {"input:", Input(Tensor(0, {2}, 1))},
       {"input.dtype:", Input(Tensor(kFloat32, {2}, 1))},
       {"input.shape:", Input(Tensor(kFloat32, {2, 6}, 1))},
       {"input.data:", Input(Tensor(kFloat32, {2, 6}, 48))},
       {"config.num_groups:", Config(VarintField(1, 3))},
       {"weight.dtype:", Weight(Tensor(kFloat32, {1}, 1))},
       {"weight.shape:", Weight(Tensor(kFloat32, {6}, 1))},
       {"weight.data:", Weight(Tensor(kFloat32, {6}, 24))},
       {"bias.dtype:", Bias(Tensor(kFloat32, {1}, 1))},
       {"bias.shape:", Bias(Tensor(kFloat32, {6}, 1))},
       {"bias.data:", Bias(Tensor(kFloat32, {6}, 24))},
       {"statistics.mean:", StatisticsBody(Statistics(bad, bad))},
       {"statistics.mean.dtype:",
        StatisticsBody(Statistics(Tensor(kFloat32, {1}, 1), bad))},
       {"statistics.mean.shape:",
        StatisticsBody(Statistics(Tensor(kFloat32, {2, 3}, 1), bad))},
       {"statistics.mean.data:", StatisticsBody(Statistics(good, bad))},
       {"statistics.rstd.dtype:",
        StatisticsBody(Statistics(good, Tensor(kFloat32, {1}, 1)))},
       {"statistics.rstd.shape:",
        StatisticsBody(Statistics(good, Tensor(kFloat32, {2, 3}, 1)))},
       {"statistics.rstd.data:", StatisticsBody(Statistics(good, good))}},
      Forward);
}

TEST(RequestRejection, OfBackwardFollowsTheOrderOfTheContract) {
  const std::string frozen = VarintField(5, 1);
  Bodies bodies;
  bodies.config = VarintField(1, 4);
  bodies.grad_output.reset();
  bodies.weight = Tensor(0, {1}, 1);
  bodies.statistics = "";
  bodies.other_fields = frozen + VarintField(4, 9);
  ExpectMendedStepByStep(
      bodies,
      {{"config.num_groups:", Config(VarintField(1, 3))},
       {"grad_output:", GradOutput(Tensor(kFloat64, {2}, 1))},
       {"grad_output.dtype:", GradOutput(Tensor(kFloat32, {2}, 1))},
       {"grad_output.shape:", GradOutput(Tensor(kFloat32, {2, 6, 2, 4}, 1))},
       {"grad_output.data:", [](Bodies& b) { b.grad_output = b.input; }},
       {"weight.dtype:", [](Bodies& b) { b.weight.reset(); }},
       {"statistics.mean:", [](Bodies& b) { b.statistics.reset(); }},
       {"gradients:", OtherFields(frozen)},
       {"frozen_statistics:", OtherFields("")}},
      Backward);
}

TEST(RequestRejection, KeepsTheLongestTextsWithinTheBound) {
  // 16 extents of 20 characters each are the longest value there is.
  std::string extents;
  for (int i = 0; i < 16; ++i) {
    extents += wire_bytes::Varint(std::uint64_t{1} << 63);
  }
  Bodies bodies;
  bodies.grad_output = VarintField(1, kFloat32) + Delimited(2, extents);
  bodies.config = VarintField(1, 1);
  bodies.input = Tensor(
      kFloat32, {0, 64, 64, 64, 16, 16, 16, 16, 16, 16, 16, 1, 1, 1, 1, 1}, 0);
  const absl::Status status = Backward(bodies);
  EXPECT_EQ(status.message().substr(0, 45),
            "grad_output.shape: [-9223372036854775808, -92");
  EXPECT_LE(status.message().size(), 1024u);
}

}  // namespace
}  // namespace groupnorm
