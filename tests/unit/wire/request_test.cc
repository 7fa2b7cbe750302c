// What an accepted request decodes to. Rejections: request_rejection_test.cc.

#include "wire/request.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "request_bodies.h"
#include "wire/message_slices.h"
#include "wire_bytes.h"

namespace groupnorm {
namespace {

using wire_bytes::Delimited;
using wire_bytes::Packed;
using wire_bytes::Tensor;
using wire_bytes::VarintField;
using wire_bytes::Whole;

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
  EXPECT_EQ(DecodeForwardRequest(Whole(ForwardBytes(bodies))).status(),
            absl::OkStatus());
  // The largest product there may be, with the zero counted as a one.
  bodies.input =
      VarintField(1, kFloat32) + Packed(2, {192'153'584'101'141'162, 6, 0});
  bodies.statistics.reset();
  EXPECT_EQ(DecodeForwardRequest(Whole(ForwardBytes(bodies))).status(),
            absl::OkStatus());
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
