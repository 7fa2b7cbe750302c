// Holds the codec's second stage against the contract: every rejection with its
// text, their order, and what an accepted request decodes to.

#include "wire/request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "wire/message_slices.h"
#include "wire_bytes.h"

namespace groupnorm {
namespace {

using wire_bytes::Delimited;
using wire_bytes::DoubleField;
using wire_bytes::Packed;
using wire_bytes::Tensor;
using wire_bytes::VarintField;
using wire_bytes::Whole;

constexpr std::uint64_t kFloat32 = 1;
constexpr std::uint64_t kFloat64 = 2;
constexpr std::uint64_t kFloat16 = 3;
constexpr std::uint64_t kBfloat16 = 4;

// The bodies of a request's fields; none where the field is absent.
struct Bodies {
  std::optional<std::string> config = VarintField(1, 3);
  std::optional<std::string> weight;
  std::optional<std::string> bias;
  std::optional<std::string> statistics;
  std::optional<std::string> grad_output = Tensor(kFloat32, {2, 6, 2, 4}, 384);
  std::optional<std::string> input = Tensor(kFloat32, {2, 6, 2, 4}, 384);
  std::string other_fields;
};

std::string Field(std::uint64_t number,
                  const std::optional<std::string>& body) {
  return body.has_value() ? Delimited(number, *body) : std::string();
}

std::string ForwardBytes(const Bodies& bodies) {
  return Field(1, bodies.config) + Field(2, bodies.weight) +
         Field(3, bodies.bias) + Field(4, bodies.statistics) +
         Field(15, bodies.input) + bodies.other_fields;
}

std::string BackwardBytes(const Bodies& bodies) {
  return Field(1, bodies.config) + Field(2, bodies.weight) +
         Field(3, bodies.statistics) + Field(14, bodies.grad_output) +
         Field(15, bodies.input) + bodies.other_fields;
}

std::string Statistics(const std::string& mean, const std::string& rstd) {
  return Delimited(1, mean) + Delimited(2, rstd);
}

// The config { num_groups: 3 } with an epsilon.
std::string WithEpsilon(double epsilon) {
  return VarintField(1, 3) + DoubleField(2, epsilon);
}

std::uint64_t Negative(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

absl::Status Forward(const Bodies& bodies) {
  return DecodeForwardRequest(Whole(ForwardBytes(bodies))).status();
}

absl::Status Backward(const Bodies& bodies) {
  return DecodeBackwardRequest(Whole(BackwardBytes(bodies))).status();
}

// A request that is right but for one thing.
struct Rejected {
  std::string message;
  std::function<void(Bodies&)> spoil;
};

const std::string kDtypes =
    "expected FLOAT32 (1), FLOAT64 (2), FLOAT16 (3) or BFLOAT16 (4)";

// Rejections by fields that both requests have.
std::vector<Rejected> SharedRejections() {
  using B = Bodies;
  const auto config = [](std::string body) {
    return [=](B& b) { b.config = body; };
  };
  const auto input = [](std::string body) {
    return [=](B& b) { b.input = body; };
  };
  const auto weight = [](std::string body) {
    return [=](B& b) { b.weight = body; };
  };
  const auto statistics = [](std::string body) {
    return [=](B& b) { b.statistics = body; };
  };
  const std::string half = Tensor(kFloat64, {2, 3}, 48);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  return {
      {"config.num_groups: 0, expected 1 or more",
       [](B& b) { b.config.reset(); }},
      {"config.num_groups: 0, expected 1 or more", config("")},
      {"config.num_groups: -3, expected 1 or more",
       config(VarintField(1, Negative(-3)))},
      {"config.num_groups: 4, expected a divisor of the 6 channels of input",
       config(VarintField(1, 4))},
      {"config.num_groups: 12, expected a divisor of the 6 channels of input",
       config(VarintField(1, 12))},
      {"config.num_groups: 3, expected a divisor of the 4 channels of input",
       config(VarintField(1, 3) + VarintField(3, 2))},
      {"config.epsilon: -1e-05, expected a finite number, 0 or more",
       config(WithEpsilon(-1e-5))},
      {"config.epsilon: -5e-324, expected a finite number, 0 or more",
       config(WithEpsilon(-5e-324))},
      {"config.epsilon: inf, expected a finite number, 0 or more",
       config(WithEpsilon(kInfinity))},
      {"config.epsilon: -inf, expected a finite number, 0 or more",
       config(WithEpsilon(-kInfinity))},
      {"config.epsilon: nan, expected a finite number, 0 or more",
       config(WithEpsilon(std::numeric_limits<double>::quiet_NaN()))},
      // Checked even where it is of no use.
      {"config.epsilon: -1, expected a finite number, 0 or more",
       [=](B& b) {
         b.config = WithEpsilon(-1);
         b.statistics = Statistics(half, half);
       }},
      {"config.layout: 3, expected CHANNELS_FIRST (1), CHANNELS_LAST (2) or "
       "unset (0)",
       config(VarintField(1, 3) + VarintField(3, 3))},
      {"config.layout: -1, expected CHANNELS_FIRST (1), CHANNELS_LAST (2) or "
       "unset (0)",
       config(VarintField(1, 3) + VarintField(3, Negative(-1)))},

      {"input: missing, expected a tensor", [](B& b) { b.input.reset(); }},
      {"input.dtype: 0, " + kDtypes, input("")},
      {"input.dtype: 5, " + kDtypes, input(Tensor(5, {2, 6, 2, 4}, 384))},
      {"input.dtype: -1, " + kDtypes,
       input(Tensor(Negative(-1), {2, 6, 2, 4}, 384))},
      {"input.shape: [], expected rank 2 to 16",
       input(Tensor(kFloat32, {}, 4))},
      {"input.shape: [6], expected rank 2 to 16",
       input(Tensor(kFloat32, {6}, 24))},
      {"input.shape: rank 17, expected rank 2 to 16",
       input(Tensor(kFloat32,
                    {1, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 24))},
      {"input.shape: rank 10000000, expected rank 2 to 16",
       input(VarintField(1, kFloat32) +
             Delimited(2, std::string(10'000'000, '\1')))},
      {"input.shape: [2, -6, 2, 4], expected extents of 0 or more",
       input(Tensor(kFloat32, {2, -6, 2, 4}, 384))},
      {"input.shape: [0, 6, -9223372036854775808], expected extents of 0 or "
       "more",
       input(Tensor(kFloat32, {0, 6, kLowest}, 0))},
      {"input.shape: [2, 6, 9223372036854775807], expected a product below "
       "2^60 (zeros counted as ones)",
       input(Tensor(kFloat32, {2, 6, ~kLowest}, 384))},
      // Its bytes would fit, but not those of elements of 8 bytes.
      {"input.shape: [0, 6, 192153584101141163], expected a product below 2^60 "
       "(zeros counted as ones)",
       input(Tensor(kFloat32, {0, 6, 192'153'584'101'141'163}, 0))},
      {"input.shape: [2, 0, 2, 4], expected 1 channel or more",
       input(Tensor(kFloat32, {2, 0, 2, 4}, 0))},
      {"input.shape: [2, 6, 2, 0], expected 1 channel or more",
       [](B& b) {
         b.config = VarintField(1, 3) + VarintField(3, 2);
         b.input = Tensor(kFloat32, {2, 6, 2, 0}, 0);
       }},
      {"input.data: 380 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]",
       input(Tensor(kFloat32, {2, 6, 2, 4}, 380))},
      {"input.data: 384 bytes, expected 768 for FLOAT64 [2, 6, 2, 4]",
       input(Tensor(kFloat64, {2, 6, 2, 4}, 384))},
      {"input.data: 384 bytes, expected 192 for FLOAT16 [2, 6, 2, 4]",
       input(Tensor(kFloat16, {2, 6, 2, 4}, 384))},
      {"input.data: 193 bytes, expected 192 for BFLOAT16 [2, 6, 2, 4]",
       input(Tensor(kBfloat16, {2, 6, 2, 4}, 193))},
      {"input.data: 0 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]",
       input(VarintField(1, kFloat32) + Packed(2, {2, 6, 2, 4}))},
      {"input.data: 4 bytes, expected 0 for FLOAT32 [0, 6]",
       input(Tensor(kFloat32, {0, 6}, 4))},
      {"input.data: 8 bytes, expected 4611686018427387888 for FLOAT32 [1, 6, "
       "192153584101141162]",
       input(Tensor(kFloat32, {1, 6, 192'153'584'101'141'162}, 8))},

      {"weight.dtype: 0, " + kDtypes, weight("")},
      {"weight.dtype: 9, " + kDtypes, weight(Tensor(9, {6}, 24))},
      {"weight.shape: [5], expected [6]", weight(Tensor(kFloat32, {5}, 20))},
      {"weight.shape: [], expected [6]", weight(Tensor(kFloat32, {}, 24))},
      {"weight.shape: [1, 6], expected [6]",
       weight(Tensor(kFloat32, {1, 6}, 24))},
      {"weight.shape: [-6], expected [6]", weight(Tensor(kFloat32, {-6}, 24))},
      {"weight.shape: rank 18, expected [6]",
       weight(VarintField(1, kFloat32) + Delimited(2, std::string(18, '\6')))},
      {"weight.data: 24 bytes, expected 48 for FLOAT64 [6]",
       weight(Tensor(kFloat64, {6}, 24))},

      {"statistics.mean: missing, expected a tensor", statistics("")},
      {"statistics.mean: missing, expected a tensor",
       statistics(Delimited(2, half))},
      {"statistics.rstd: missing, expected a tensor",
       statistics(Delimited(1, half))},
      {"statistics.mean.dtype: 0, " + kDtypes,
       statistics(Statistics("", half))},
      {"statistics.rstd.dtype: 7, " + kDtypes,
       statistics(Statistics(half, Tensor(7, {2, 3}, 48)))},
      {"statistics.mean.shape: [2, 6], expected [2, 3]",
       statistics(Statistics(Tensor(kFloat64, {2, 6}, 96), half))},
      {"statistics.rstd.shape: [6], expected [2, 3]",
       statistics(Statistics(half, Tensor(kFloat64, {6}, 48)))},
      {"statistics.mean.data: 40 bytes, expected 48 for FLOAT64 [2, 3]",
       statistics(Statistics(Tensor(kFloat64, {2, 3}, 40), half))},
      {"statistics.rstd.data: 48 bytes, expected 12 for BFLOAT16 [2, 3]",
       statistics(Statistics(half, Tensor(kBfloat16, {2, 3}, 48)))},
  };
}

TEST(DecodeForwardRequest, RejectsEachFaultByFieldValueAndExpectation) {
  for (const Rejected& rejected : SharedRejections()) {
    Bodies bodies;
    rejected.spoil(bodies);
    EXPECT_EQ(Forward(bodies), absl::InvalidArgumentError(rejected.message));
  }
}

TEST(DecodeBackwardRequest, RejectsEachFaultByFieldValueAndExpectation) {
  for (const Rejected& rejected : SharedRejections()) {
    Bodies bodies;
    rejected.spoil(bodies);
    // Its fault would be reported before those of weight and statistics.
    if (bodies.input.has_value()) bodies.grad_output = bodies.input;
    EXPECT_EQ(Backward(bodies), absl::InvalidArgumentError(rejected.message));
  }
}

TEST(DecodeForwardRequest, RejectsFaultsOfTheBias) {
  Bodies bodies;
  bodies.bias = Tensor(kFloat32, {7}, 28);
  EXPECT_EQ(Forward(bodies),
            absl::InvalidArgumentError("bias.shape: [7], expected [6]"));
  bodies.bias = "";
  EXPECT_EQ(Forward(bodies),
            absl::InvalidArgumentError("bias.dtype: 0, " + kDtypes));
  bodies.bias = Tensor(kFloat16, {6}, 13);
  EXPECT_EQ(Forward(bodies),
            absl::InvalidArgumentError(
                "bias.data: 13 bytes, expected 12 for FLOAT16 [6]"));
}

TEST(DecodeBackwardRequest, RejectsFaultsOfItsOwnFields) {
  const std::string unknown_gradient =
      ", expected GRADIENT_INPUT (1), GRADIENT_WEIGHT (2) or GRADIENT_BIAS (3)";
  const std::vector<Rejected> rejections = {
      {"grad_output: missing, expected a tensor",
       [](Bodies& b) { b.grad_output.reset(); }},
      {"grad_output.dtype: 0, " + kDtypes,
       [](Bodies& b) { b.grad_output = ""; }},
      {"grad_output.dtype: FLOAT64, expected FLOAT32 as input",
       [](Bodies& b) {
         b.grad_output = Tensor(kFloat64, {2, 6, 2, 4}, 768);
       }},
      {"grad_output.shape: [2, 6, 4, 2], expected [2, 6, 2, 4] as input",
       [](Bodies& b) {
         b.grad_output = Tensor(kFloat32, {2, 6, 4, 2}, 384);
       }},
      {"grad_output.shape: [2, 6, 8], expected [2, 6, 2, 4] as input",
       [](Bodies& b) {
         b.grad_output = Tensor(kFloat32, {2, 6, 8}, 384);
       }},
      {"grad_output.shape: rank 20, expected [2, 6, 2, 4] as input",
       [](Bodies& b) {
         b.grad_output =
             VarintField(1, kFloat32) + Delimited(2, std::string(20, '\2'));
       }},
      {"grad_output.data: 383 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]",
       [](Bodies& b) {
         b.grad_output = Tensor(kFloat32, {2, 6, 2, 4}, 383);
       }},
      {"gradients: 0" + unknown_gradient,
       [](Bodies& b) { b.other_fields = VarintField(4, 0); }},
      {"gradients: 4" + unknown_gradient,
       [](Bodies& b) {
         b.other_fields = Packed(4, {1, 4, 9, 2});
       }},
      {"gradients: -2" + unknown_gradient,
       [](Bodies& b) {
         b.other_fields =
             Packed(4, {1, 2}) + VarintField(4, Negative(-2)) + Packed(4, {7});
       }},
      {"frozen_statistics: true, expected false where statistics is missing",
       [](Bodies& b) { b.other_fields = VarintField(5, 1); }},
  };
  for (const Rejected& rejected : rejections) {
    Bodies bodies;
    rejected.spoil(bodies);
    EXPECT_EQ(Backward(bodies), absl::InvalidArgumentError(rejected.message));
  }
}

TEST(DecodeRequest, NamesTheByteThatMakesItNoMessage) {
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

// Everything is wrong at first; mending what is reported shows the next.
TEST(DecodeForwardRequest, ReportsFailuresInTheOrderOfTheContract) {
  Bodies b;
  b.other_fields = "\x07";
  b.config = DoubleField(2, -1) + VarintField(3, 8);
  b.input.reset();
  b.weight = Tensor(0, {1}, 1);
  b.bias = Tensor(0, {1}, 1);
  b.statistics = Delimited(2, Tensor(0, {1}, 1));
  const std::vector<Rejected> steps = {
      {"request:", [](Bodies& m) { m.other_fields = ""; }},
      {"config.num_groups:",
       [](Bodies& m) {
         m.config = VarintField(1, 4) + DoubleField(2, -1) + VarintField(3, 8);
       }},
      {"config.epsilon:",
       [](Bodies& m) { m.config = VarintField(1, 4) + VarintField(3, 8); }},
      {"config.layout:", [](Bodies& m) { m.config = VarintField(1, 4); }},
      {"input:", [](Bodies& m) { m.input = Tensor(0, {2}, 1); }},
      {"input.dtype:", [](Bodies& m) { m.input = Tensor(1, {2}, 1); }},
      {"input.shape:",
       [](Bodies& m) {
         m.input = Tensor(1, {2, 6}, 1);
       }},
      {"input.data:",
       [](Bodies& m) {
         m.input = Tensor(1, {2, 6}, 48);
       }},
      {"config.num_groups:", [](Bodies& m) { m.config = VarintField(1, 3); }},
      {"weight.dtype:", [](Bodies& m) { m.weight = Tensor(1, {1}, 1); }},
      {"weight.shape:", [](Bodies& m) { m.weight = Tensor(1, {6}, 1); }},
      {"weight.data:", [](Bodies& m) { m.weight = Tensor(1, {6}, 24); }},
      {"bias.dtype:", [](Bodies& m) { m.bias = Tensor(1, {1}, 1); }},
      {"bias.shape:", [](Bodies& m) { m.bias = Tensor(1, {6}, 1); }},
      {"bias.data:", [](Bodies& m) { m.bias = Tensor(1, {6}, 24); }},
      {"statistics.mean:",
       [](Bodies& m) {
         m.statistics = Statistics(Tensor(0, {1}, 1), Tensor(0, {1}, 1));
       }},
      {"statistics.mean.dtype:",
       [](Bodies& m) {
         m.statistics = Statistics(Tensor(1, {1}, 1), Tensor(0, {1}, 1));
       }},
      {"statistics.mean.shape:",
       [](Bodies& m) {
         m.statistics = Statistics(Tensor(1, {2, 3}, 1), Tensor(0, {1}, 1));
       }},
      {"statistics.mean.data:",
       [](Bodies& m) {
         m.statistics = Statistics(Tensor(1, {2, 3}, 24), Tensor(0, {1}, 1));
       }},
      {"statistics.rstd.dtype:",
       [](Bodies& m) {
         m.statistics = Statistics(Tensor(1, {2, 3}, 24), Tensor(1, {1}, 1));
       }},
      {"statistics.rstd.shape:",
       [](Bodies& m) {
         m.statistics = Statistics(Tensor(1, {2, 3}, 24), Tensor(1, {2, 3}, 1));
       }},
      {"statistics.rstd.data:",
       [](Bodies& m) {
         m.statistics =
             Statistics(Tensor(1, {2, 3}, 24), Tensor(1, {2, 3}, 24));
       }},
  };
  for (const Rejected& step : steps) {
    EXPECT_EQ(std::string(Forward(b).message()).substr(0, step.message.size()),
              step.message);
    step.spoil(b);
  }
  EXPECT_EQ(Forward(b), absl::OkStatus());
}

TEST(DecodeBackwardRequest, ReportsFailuresInTheOrderOfTheContract) {
  Bodies b;
  b.config = VarintField(1, 4);
  b.grad_output.reset();
  b.weight = Tensor(0, {1}, 1);
  b.statistics = "";
  const std::string gradients = VarintField(4, 9);
  const std::string frozen = VarintField(5, 1);
  b.other_fields = gradients + frozen;
  const std::vector<Rejected> steps = {
      {"config.num_groups:", [](Bodies& m) { m.config = VarintField(1, 3); }},
      {"grad_output:", [](Bodies& m) { m.grad_output = Tensor(2, {2}, 1); }},
      {"grad_output.dtype:",
       [](Bodies& m) { m.grad_output = Tensor(1, {2}, 1); }},
      {"grad_output.shape:",
       [](Bodies& m) {
         m.grad_output = Tensor(1, {2, 6, 2, 4}, 1);
       }},
      {"grad_output.data:", [](Bodies& m) { m.grad_output = m.input; }},
      {"weight.dtype:", [](Bodies& m) { m.weight.reset(); }},
      {"statistics.mean:", [](Bodies& m) { m.statistics.reset(); }},
      {"gradients:", [=](Bodies& m) { m.other_fields = frozen; }},
      {"frozen_statistics:", [](Bodies& m) { m.other_fields.clear(); }},
  };
  for (const Rejected& step : steps) {
    EXPECT_EQ(std::string(Backward(b).message()).substr(0, step.message.size()),
              step.message);
    step.spoil(b);
  }
  EXPECT_EQ(Backward(b), absl::OkStatus());
}

TEST(DecodeRequest, KeepsTheLongestTextsWithinTheBound) {
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

TEST(DecodeForwardRequest, ReturnsEveryFieldAndWhereTheElementsLie) {
  Bodies bodies;
  bodies.config = WithEpsilon(0.5);
  bodies.weight = Tensor(kFloat64, {6}, 48);
  bodies.bias = Tensor(kBfloat16, {6}, 12);
  bodies.statistics =
      Statistics(Tensor(kFloat16, {2, 3}, 12), Tensor(kFloat32, {2, 3}, 24));
  const std::string bytes = ForwardBytes(bodies);
  const auto request = DecodeForwardRequest(Whole(bytes));
  ASSERT_EQ(request.status(), absl::OkStatus());

  EXPECT_EQ(request->geometry,
            (GroupGeometry{Layout::kChannelsFirst, 2, 6, 8, 3}));
  EXPECT_EQ(request->epsilon, 0.5);
  ASSERT_TRUE(request->weight.has_value());
  EXPECT_EQ(request->weight->dtype, DataType::kFloat64);
  EXPECT_EQ(request->weight->shape, (Shape{6}));
  EXPECT_EQ(request->weight->data.size, 48u);
  ASSERT_TRUE(request->bias.has_value());
  EXPECT_EQ(request->bias->dtype, DataType::kBfloat16);
  ASSERT_TRUE(request->statistics.has_value());
  EXPECT_EQ(request->statistics->mean.dtype, DataType::kFloat16);
  EXPECT_EQ(request->statistics->mean.shape, (Shape{2, 3}));
  EXPECT_EQ(request->statistics->rstd.dtype, DataType::kFloat32);
  EXPECT_EQ(request->input.dtype, DataType::kFloat32);
  EXPECT_EQ(request->input.shape, (Shape{2, 6, 2, 4}));
  // The input's elements are the last bytes of the message.
  EXPECT_EQ(request->input.data, (PayloadRange{bytes.size() - 384, 384}));
}

TEST(DecodeForwardRequest, FillsInTheDefaults) {
  const auto request = DecodeForwardRequest(Whole(ForwardBytes({})));
  ASSERT_EQ(request.status(), absl::OkStatus());
  EXPECT_EQ(request->geometry.layout, Layout::kChannelsFirst);
  EXPECT_EQ(request->epsilon, 1e-5);
  EXPECT_FALSE(request->weight.has_value());
  EXPECT_FALSE(request->bias.has_value());
  EXPECT_FALSE(request->statistics.has_value());
}

TEST(DecodeForwardRequest, AcceptsEpsilonsOfZero) {
  for (const double epsilon : {0.0, -0.0}) {
    Bodies bodies;
    bodies.config = WithEpsilon(epsilon);
    const auto request = DecodeForwardRequest(Whole(ForwardBytes(bodies)));
    ASSERT_EQ(request.status(), absl::OkStatus());
    EXPECT_EQ(request->epsilon, 0.0);
  }
}

TEST(DecodeForwardRequest, AcceptsEmptyTensors) {
  Bodies bodies;
  bodies.input = Tensor(kFloat32, {0, 6, 5}, 0);
  bodies.statistics =
      Statistics(Tensor(kFloat64, {0, 3}, 0), Tensor(kFloat64, {0, 3}, 0));
  EXPECT_EQ(Forward(bodies), absl::OkStatus());
  // The largest product there may be, with the zero counted as a one.
  bodies.input =
      VarintField(1, kFloat32) + Packed(2, {192'153'584'101'141'162, 6, 0});
  bodies.statistics.reset();
  EXPECT_EQ(Forward(bodies), absl::OkStatus());
}

TEST(DecodeForwardRequest, TakesTheChannelsFromTheLayout) {
  Bodies bodies;
  bodies.config = VarintField(1, 2) + VarintField(3, 2);
  bodies.weight = Tensor(kFloat32, {4}, 16);
  const auto request = DecodeForwardRequest(Whole(ForwardBytes(bodies)));
  ASSERT_EQ(request.status(), absl::OkStatus());
  EXPECT_EQ(request->geometry,
            (GroupGeometry{Layout::kChannelsLast, 2, 4, 12, 2}));
}

TEST(DecodeForwardRequest, ReadsAnyWayOfWritingARequestAlike) {
  const std::string shape_in_parts =
      VarintField(2, 2) + Packed(2, {6, 2}) + Packed(2, {}) + VarintField(2, 4);
  const std::string data = Delimited(15, std::string(384, 'x'));
  const std::string input =
      Delimited(15, VarintField(1, kFloat64) + shape_in_parts);
  const std::vector<std::string> ways = {
      Delimited(1, VarintField(1, 3)) + input +
          Delimited(15, VarintField(1, kFloat32) + data),
      // Back to front, with an explicit zero and data that do not last.
      Delimited(15, data + VarintField(1, 0)) +
          Delimited(15, Delimited(15, "")) + Delimited(15, data) + input +
          Delimited(15, VarintField(1, kFloat32)) + Delimited(1, "") +
          Delimited(1, VarintField(1, 5)) + Delimited(1, VarintField(1, 3)),
      // Among what is unknown: a field, a group, a wrong wire type.
      wire_bytes::Fixed32Field(100, 7) + Delimited(1, VarintField(1, 3)) +
          wire_bytes::Group(15, VarintField(1, 9)) + input + VarintField(1, 4) +
          Delimited(15, data + Delimited(1, "?") + VarintField(1, kFloat32)),
  };
  for (const std::string& bytes : ways) {
    const MessageSlices message = wire_bytes::Sliced(bytes, 5);
    const auto request = DecodeForwardRequest(message);
    ASSERT_EQ(request.status(), absl::OkStatus());
    EXPECT_EQ(request->geometry,
              (GroupGeometry{Layout::kChannelsFirst, 2, 6, 8, 3}));
    EXPECT_EQ(request->input.dtype, DataType::kFloat32);
    std::string elements(384, '\0');
    message.Copy(request->input.data,
                 reinterpret_cast<std::byte*>(elements.data()));
    EXPECT_EQ(elements, std::string(384, 'x'));
  }
}

TEST(DecodeBackwardRequest, ReturnsEveryField) {
  Bodies bodies;
  bodies.weight = Tensor(kFloat16, {6}, 12);
  bodies.statistics =
      Statistics(Tensor(kFloat64, {2, 3}, 48), Tensor(kFloat64, {2, 3}, 48));
  bodies.other_fields = VarintField(5, std::uint64_t{1} << 40);
  const auto request = DecodeBackwardRequest(Whole(BackwardBytes(bodies)));
  ASSERT_EQ(request.status(), absl::OkStatus());
  EXPECT_TRUE(request->frozen_statistics);
  EXPECT_FALSE(request->per_sample_gradients);
  EXPECT_EQ(request->grad_output.shape, (Shape{2, 6, 2, 4}));
  EXPECT_EQ(request->grad_output.data.size, 384u);
  EXPECT_LT(request->grad_output.data.offset, request->input.data.offset);
  EXPECT_TRUE(request->statistics.has_value());
  EXPECT_EQ(request->geometry,
            (GroupGeometry{Layout::kChannelsFirst, 2, 6, 8, 3}));
}

TEST(DecodeBackwardRequest, WantsAllGradientsUnlessSomeAreNamed) {
  struct Case {
    std::string fields;
    bool input, weight, bias;
  };
  const std::vector<Case> cases = {
      {"", true, true, true},
      {Packed(4, {}), true, true, true},
      {VarintField(4, 1), true, false, false},
      {Packed(4, {2, 2}), false, true, false},
      {Packed(4, {3}) + VarintField(4, 1), true, false, true},
      // Beyond 32 bits only the lower ones count.
      {VarintField(4, (std::uint64_t{1} << 32) + 3), false, false, true},
  };
  for (const Case& c : cases) {
    Bodies bodies;
    bodies.other_fields = c.fields;
    const auto request = DecodeBackwardRequest(Whole(BackwardBytes(bodies)));
    ASSERT_EQ(request.status(), absl::OkStatus());
    EXPECT_EQ(request->want_grad_input, c.input);
    EXPECT_EQ(request->want_grad_weight, c.weight);
    EXPECT_EQ(request->want_grad_bias, c.bias);
  }
}

TEST(DecodeBackwardRequest, SaysTheElementTypeOfParameterGradients) {
  Bodies bodies;
  const auto dtype = [](const Bodies& b) {
    return DecodeBackwardRequest(Whole(BackwardBytes(b)))
        ->parameter_gradient_dtype();
  };
  EXPECT_EQ(dtype(bodies), DataType::kFloat32);
  bodies.weight = Tensor(kFloat16, {6}, 12);
  EXPECT_EQ(dtype(bodies), DataType::kFloat16);
  bodies.other_fields = VarintField(6, 1);
  EXPECT_EQ(dtype(bodies), DataType::kFloat64);
}

}  // namespace
}  // namespace groupnorm
