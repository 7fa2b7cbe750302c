#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/reference/reference.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

constexpr double kEpsilon = 1e-3;

TestServer& SharedServer() {
  static TestServer server;
  return server;
}

std::optional<TensorView> ViewIf(bool present, const v1::Tensor& tensor) {
  return present ? std::optional(ViewOf(tensor)) : std::nullopt;
}

void ExpectRight(const reference::Expected& expected, const v1::Tensor& actual,
                 const char* name) {
  SCOPED_TRACE(name);
  const TensorView view = ViewOf(actual);
  ASSERT_EQ(view.dtype, expected.dtype);
  ASSERT_EQ(static_cast<std::size_t>(view.shape.num_elements()),
            expected.value.size());
  const reference::Comparison comparison = reference::Compare(expected, view);
  EXPECT_TRUE(comparison.ok())
      << comparison.num_wrong << " wrong, the first at "
      << comparison.first_wrong << ", " << comparison.max_bound_ratio
      << " times the bound";
}

// Each element type in each layout, with parameters of another element type.
class EveryDtypeAndLayout
    : public ::testing::TestWithParam<std::tuple<DataType, Layout>> {
 protected:
  DataType dtype() const { return std::get<0>(GetParam()); }
  Layout layout() const { return std::get<1>(GetParam()); }

  // 40 channels in 5 groups, more than one task to gather.
  std::vector<std::int64_t> InputShape() const {
    return layout() == Layout::kChannelsFirst
               ? std::vector<std::int64_t>{2, 40, 61, 67}
               : std::vector<std::int64_t>{2, 61, 67, 40};
  }

  GroupGeometry Geometry(const v1::Tensor& input) const {
    return GroupGeometry::Of(ViewOf(input).shape, layout(), 5);
  }

  void SetConfig(v1::GroupNormConfig& config) const {
    config.set_num_groups(5);
    config.set_epsilon(kEpsilon);
    config.set_layout(static_cast<v1::Layout>(layout()));
  }

  v1::ForwardRequest ForwardOf(bool affine) const {
    v1::ForwardRequest request;
    SetConfig(*request.mutable_config());
    *request.mutable_input() = RandomTensor(dtype(), InputShape(), 7, 2);
    if (affine) {
      *request.mutable_weight() = RandomTensor(DataType::kFloat64, {40}, 8);
      *request.mutable_bias() = RandomTensor(DataType::kFloat16, {40}, 9);
    }
    return request;
  }

  v1::BackwardRequest BackwardOf(const v1::ForwardRequest& forward) const {
    v1::BackwardRequest request;
    *request.mutable_config() = forward.config();
    *request.mutable_input() = forward.input();
    *request.mutable_grad_output() = RandomTensor(dtype(), InputShape(), 10);
    if (forward.has_weight()) *request.mutable_weight() = forward.weight();
    return request;
  }

  reference::BackwardExpected Expected(
      const v1::BackwardRequest& request) const {
    return reference::Backward(
        {.geometry = Geometry(request.input()),
         .epsilon = kEpsilon,
         .input = ViewOf(request.input()),
         .grad_output = ViewOf(request.grad_output()),
         .weight = ViewIf(request.has_weight(), request.weight()),
         .mean = ViewIf(request.has_statistics(), request.statistics().mean()),
         .rstd = ViewIf(request.has_statistics(), request.statistics().rstd()),
         .frozen_statistics = request.frozen_statistics(),
         .per_sample_gradients = request.per_sample_gradients()});
  }

  void ExpectRightGradients(const v1::BackwardRequest& request) const {
    v1::BackwardResponse response;
    ASSERT_THAT(SharedServer().Backward(request, &response), Succeeds());
    const reference::BackwardExpected expected = Expected(request);
    EXPECT_THAT(response.grad_input().shape(),
                ::testing::ElementsAreArray(request.input().shape()));
    ExpectRight(expected.grad_input, response.grad_input(), "grad_input");
    ExpectRight(expected.grad_weight, response.grad_weight(), "grad_weight");
    ExpectRight(expected.grad_bias, response.grad_bias(), "grad_bias");
  }
};

TEST_P(EveryDtypeAndLayout, ForwardIsRight) {
  for (const bool affine : {false, true}) {
    const v1::ForwardRequest request = ForwardOf(affine);
    v1::ForwardResponse response;
    ASSERT_THAT(SharedServer().Forward(request, &response), Succeeds());
    const reference::ForwardExpected expected =
        reference::Forward({.geometry = Geometry(request.input()),
                            .epsilon = kEpsilon,
                            .input = ViewOf(request.input()),
                            .weight = ViewIf(affine, request.weight()),
                            .bias = ViewIf(affine, request.bias()),
                            .mean = std::nullopt,
                            .rstd = std::nullopt});
    EXPECT_THAT(response.output().shape(),
                ::testing::ElementsAreArray(request.input().shape()));
    EXPECT_THAT(response.statistics().mean().shape(),
                ::testing::ElementsAre(2, 5));
    ExpectRight(expected.output, response.output(), "output");
    ExpectRight(expected.mean, response.statistics().mean(), "mean");
    ExpectRight(expected.rstd, response.statistics().rstd(), "rstd");
  }
}

TEST_P(EveryDtypeAndLayout, ForwardUsesGivenStatisticsAsTheyAre) {
  v1::ForwardRequest request = ForwardOf(true);
  *request.mutable_statistics()->mutable_mean() =
      RandomTensor(DataType::kFloat32, {2, 5}, 11);
  *request.mutable_statistics()->mutable_rstd() =
      RandomTensor(DataType::kBfloat16, {2, 5}, 12, 5);
  v1::ForwardResponse response;
  ASSERT_THAT(SharedServer().Forward(request, &response), Succeeds());
  const reference::ForwardExpected expected =
      reference::Forward({.geometry = Geometry(request.input()),
                          .epsilon = kEpsilon,
                          .input = ViewOf(request.input()),
                          .weight = ViewOf(request.weight()),
                          .bias = ViewOf(request.bias()),
                          .mean = ViewOf(request.statistics().mean()),
                          .rstd = ViewOf(request.statistics().rstd())});
  ExpectRight(expected.output, response.output(), "output");
  EXPECT_EQ(response.statistics().mean().dtype(), v1::DATA_TYPE_FLOAT64);
  EXPECT_EQ(response.statistics().rstd().dtype(), v1::DATA_TYPE_FLOAT64);
  EXPECT_EQ(ValuesOf(response.statistics().mean()),
            ValuesOf(request.statistics().mean()));
  EXPECT_EQ(ValuesOf(response.statistics().rstd()),
            ValuesOf(request.statistics().rstd()));
}

TEST_P(EveryDtypeAndLayout, BackwardIsRight) {
  for (const bool affine : {false, true}) {
    ExpectRightGradients(BackwardOf(ForwardOf(affine)));
  }
}

TEST_P(EveryDtypeAndLayout, BackwardIsRightPerSampleAndFrozen) {
  v1::BackwardRequest request = BackwardOf(ForwardOf(true));
  request.set_per_sample_gradients(true);
  ExpectRightGradients(request);
  *request.mutable_statistics()->mutable_mean() =
      RandomTensor(DataType::kFloat32, {2, 5}, 11);
  *request.mutable_statistics()->mutable_rstd() =
      RandomTensor(DataType::kFloat64, {2, 5}, 12, 5);
  ExpectRightGradients(request);
  request.set_frozen_statistics(true);
  ExpectRightGradients(request);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, EveryDtypeAndLayout,
    ::testing::Combine(::testing::ValuesIn(kDataTypes),
                       ::testing::Values(Layout::kChannelsFirst,
                                         Layout::kChannelsLast)),
    [](const auto& param_info) {
      return std::string(DataTypeName(std::get<0>(param_info.param))) +
             (std::get<1>(param_info.param) == Layout::kChannelsFirst
                  ? "ChannelsFirst"
                  : "ChannelsLast");
    });

TEST(Calls, HaveAnEmptyOutputForAnEmptyBatch) {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(2);
  *request.mutable_input() = TensorWithoutData(DataType::kFloat32, {0, 4, 3});
  v1::ForwardResponse response;
  ASSERT_THAT(SharedServer().Forward(request, &response), Succeeds());
  EXPECT_THAT(response.output().shape(), ::testing::ElementsAre(0, 4, 3));
  EXPECT_THAT(response.output().data(), IsEmpty());
  EXPECT_THAT(response.statistics().mean().shape(),
              ::testing::ElementsAre(0, 2));
}

TEST(Calls, GiveMeanZeroAndRstdNanWithoutPositions) {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(2);
  *request.mutable_input() = TensorWithoutData(DataType::kFloat32, {3, 4, 0});
  *request.mutable_weight() = RandomTensor(DataType::kFloat32, {4}, 1);
  v1::ForwardResponse response;
  ASSERT_THAT(SharedServer().Forward(request, &response), Succeeds());
  EXPECT_THAT(response.output().data(), IsEmpty());
  EXPECT_EQ(ValuesOf(response.statistics().mean()), std::vector<double>(6, 0));
  EXPECT_THAT(ValuesOf(response.statistics().rstd()), Each(::testing::IsNan()));
}

TEST(Calls, GiveGivenStatisticsBackWithoutPositions) {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(2);
  *request.mutable_input() = TensorWithoutData(DataType::kFloat32, {3, 4, 0});
  *request.mutable_statistics()->mutable_mean() =
      RandomTensor(DataType::kFloat32, {3, 2}, 1);
  *request.mutable_statistics()->mutable_rstd() =
      RandomTensor(DataType::kFloat32, {3, 2}, 2);
  v1::ForwardResponse response;
  ASSERT_THAT(SharedServer().Forward(request, &response), Succeeds());
  EXPECT_EQ(ValuesOf(response.statistics().mean()),
            ValuesOf(request.statistics().mean()));
  EXPECT_EQ(ValuesOf(response.statistics().rstd()),
            ValuesOf(request.statistics().rstd()));
}

TEST(Calls, HaveZeroParameterGradientsWithoutPositions) {
  v1::BackwardRequest request;
  request.mutable_config()->set_num_groups(2);
  *request.mutable_input() = TensorWithoutData(DataType::kFloat32, {3, 4, 0});
  *request.mutable_grad_output() = request.input();
  *request.mutable_weight() = RandomTensor(DataType::kBfloat16, {4}, 1);
  v1::BackwardResponse response;
  ASSERT_THAT(SharedServer().Backward(request, &response), Succeeds());
  EXPECT_EQ(response.grad_weight().dtype(), v1::DATA_TYPE_BFLOAT16);
  EXPECT_EQ(ValuesOf(response.grad_weight()), std::vector<double>(4, 0));
  EXPECT_EQ(ValuesOf(response.grad_bias()), std::vector<double>(4, 0));
  EXPECT_THAT(response.grad_input().data(), IsEmpty());
}

TEST(Calls, UseTheDefaultEpsilonWhereNoneIsSent) {
  v1::ForwardRequest request = SmallForwardRequest();
  v1::ForwardResponse by_default, as_given;
  ASSERT_THAT(SharedServer().Forward(request, &by_default), Succeeds());
  request.mutable_config()->set_epsilon(1e-5);
  ASSERT_THAT(SharedServer().Forward(request, &as_given), Succeeds());
  EXPECT_EQ(by_default.SerializeAsString(), as_given.SerializeAsString());
}

TEST(Calls, AreAnsweredBeforeTheirRequestEndsAndReadOneMessage) {
  v1::ForwardResponse expected, actual;
  ASSERT_THAT(SharedServer().Forward(SmallForwardRequest(), &expected),
              Succeeds());
  RawCall call(SharedServer().channel(), "Forward");
  ASSERT_TRUE(call.Send(SmallForwardRequest().SerializeAsString()));
  call.Send("a second message, which is not one");
  ASSERT_THAT(call.Finish(), Succeeds());
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(call.response().Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  ASSERT_TRUE(actual.ParseFromString(bytes));
  EXPECT_EQ(actual.SerializeAsString(), expected.SerializeAsString());
}

}  // namespace
}  // namespace groupnorm
