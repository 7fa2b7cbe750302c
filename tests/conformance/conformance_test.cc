// The reference and the codec against the conformance vectors, which a program
// in another language made.

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "groupnorm/v1/groupnorm.pb.h"
#include "kernels/reference/bounds.h"
#include "kernels/reference/reference.h"
#include "tensor/element.h"
#include "tests/conformance/manifest.h"
#include "wire/message_slices.h"
#include "wire/request.h"

namespace groupnorm::conformance {
namespace {

using reference::Expected;

std::vector<Case> AllCases() {
  const absl::StatusOr<std::vector<Case>> cases = LoadCases(VectorsFolder());
  EXPECT_TRUE(cases.ok()) << cases.status();
  return cases.ok() ? *cases : std::vector<Case>();
}

// A view of a tensor in a parsed message.
TensorView View(const v1::Tensor& tensor) {
  const std::vector<std::int64_t> extents(tensor.shape().begin(),
                                          tensor.shape().end());
  return {DataTypeFromValue(tensor.dtype()).value(), *Shape::Create(extents),
          tensor.data().data()};
}

std::optional<TensorView> ViewIf(bool present, const v1::Tensor& tensor) {
  if (!present) return std::nullopt;
  return View(tensor);
}

template <typename Inputs, typename Request>
Inputs CommonInputs(const Request& request) {
  Inputs inputs;
  inputs.input = View(request.input());
  inputs.geometry =
      GroupGeometry::Of(inputs.input.shape,
                        request.config().layout() == v1::LAYOUT_CHANNELS_LAST
                            ? Layout::kChannelsLast
                            : Layout::kChannelsFirst,
                        request.config().num_groups());
  if (request.config().has_epsilon()) {
    inputs.epsilon = request.config().epsilon();
  }
  inputs.weight = ViewIf(request.has_weight(), request.weight());
  inputs.mean = ViewIf(request.has_statistics(), request.statistics().mean());
  inputs.rstd = ViewIf(request.has_statistics(), request.statistics().rstd());
  return inputs;
}

// What the reference computes for the request of a case, by path. Gradients
// that were not asked for included.
std::map<std::string, Expected> Compute(const Case& accepted) {
  if (accepted.method == "Forward") {
    v1::ForwardRequest request;
    EXPECT_TRUE(request.ParseFromString(accepted.request));
    auto inputs = CommonInputs<reference::ForwardInputs>(request);
    inputs.bias = ViewIf(request.has_bias(), request.bias());
    reference::ForwardExpected expected = reference::Forward(inputs);
    return {{"statistics.mean", std::move(expected.mean)},
            {"statistics.rstd", std::move(expected.rstd)},
            {"output", std::move(expected.output)}};
  }
  v1::BackwardRequest request;
  EXPECT_TRUE(request.ParseFromString(accepted.request));
  auto inputs = CommonInputs<reference::BackwardInputs>(request);
  inputs.grad_output = View(request.grad_output());
  inputs.frozen_statistics = request.frozen_statistics();
  inputs.per_sample_gradients = request.per_sample_gradients();
  reference::BackwardExpected expected = reference::Backward(inputs);
  return {{"grad_input", std::move(expected.grad_input)},
          {"grad_weight", std::move(expected.grad_weight)},
          {"grad_bias", std::move(expected.grad_bias)}};
}

// Some 1e-15 of the typical magnitude, of which a bound is 1e-12 in FLOAT64 and
// at least 1e-7 in FLOAT32, plus the rounding of the value in the manifest.
bool IsSameValue(DataType dtype, long double value, long double bound,
                 long double actual) {
  if (!std::isfinite(value)) {
    if (std::isinf(bound)) return !std::isfinite(actual);
    return std::isnan(value) ? std::isnan(actual) : value == actual;
  }
  const long double tolerance =
      bound * (dtype == DataType::kFloat64 ? 1e-3L : 1e-8L) +
      std::fabs(value) * 0x1p-53L;
  return std::fabs(actual - value) <= tolerance;
}

bool IsSameBound(long double bound, long double actual) {
  if (!std::isfinite(bound)) return bound == actual;
  return std::fabs(actual - bound) <= 1e-9L * bound;
}

TEST(Reference, GivesTheValuesAndTheBoundsOfTheVectors) {
  for (const Case& accepted : AllCases()) {
    if (accepted.code != absl::StatusCode::kOk) continue;
    SCOPED_TRACE(accepted.name);
    const std::map<std::string, Expected> computed = Compute(accepted);
    for (const ExpectedTensor& tensor : accepted.tensors) {
      SCOPED_TRACE(tensor.path);
      const Expected& expected = tensor.expected;
      const Expected& actual = computed.at(tensor.path);
      ASSERT_EQ(actual.dtype, expected.dtype);
      ASSERT_EQ(actual.value.size(), expected.value.size());
      ASSERT_EQ(actual.bound.size(), expected.bound.size());
      for (std::size_t i = 0; i < expected.value.size(); ++i) {
        EXPECT_TRUE(IsSameValue(expected.dtype, expected.value[i],
                                expected.bound[i], actual.value[i]))
            << i << ": " << actual.value[i] << ", expected "
            << expected.value[i];
        EXPECT_TRUE(IsSameBound(expected.bound[i], actual.bound[i]))
            << i << ": bound " << actual.bound[i] << ", expected "
            << expected.bound[i];
      }
    }
  }
}

TEST(Vectors, AreMetByCorrectlyRoundedResults) {
  for (const Case& accepted : AllCases()) {
    for (const ExpectedTensor& tensor : accepted.tensors) {
      SCOPED_TRACE(accepted.name + " " + tensor.path);
      const DataType dtype = tensor.expected.dtype;
      std::vector<double> rounded;
      for (const long double value : tensor.expected.value) {
        rounded.push_back(
            static_cast<double>(reference::RoundToDataType(dtype, value)));
      }
      std::vector<std::byte> elements(rounded.size() * ElementSize(dtype));
      DoublesToElements(dtype, rounded, elements.data());
      const Shape shape = *Shape::Create(tensor.shape);
      ASSERT_EQ(static_cast<std::size_t>(shape.num_elements()), rounded.size());
      const reference::Comparison comparison =
          reference::Compare(tensor.expected, {dtype, shape, elements.data()});
      EXPECT_TRUE(comparison.ok()) << comparison.first_wrong;
    }
  }
}

// A verdict of the codec, as a status.
absl::Status Decode(const Case& tested) {
  const MessageSlices message(
      std::vector<grpc::Slice>{grpc::Slice(tested.request)});
  return tested.method == "Forward" ? DecodeForwardRequest(message).status()
                                    : DecodeBackwardRequest(message).status();
}

TEST(Codec, AcceptsAndRejectsAsTheVectorsSay) {
  int num_rejections = 0;
  for (const Case& tested : AllCases()) {
    SCOPED_TRACE(tested.name);
    const absl::Status status = Decode(tested);
    if (tested.code == absl::StatusCode::kInvalidArgument) {
      const absl::Status check =
          CheckStatus(tested, status.code(), std::string(status.message()));
      EXPECT_TRUE(check.ok()) << check;
      ++num_rejections;
    } else {
      // What is too large is well-formed: the server refuses it.
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  EXPECT_GT(num_rejections, 200);
}

}  // namespace
}  // namespace groupnorm::conformance
