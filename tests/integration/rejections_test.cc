#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TestServer& SharedServer() {
  static TestServer server;
  return server;
}

// One fault in an otherwise valid request, and what the contract says of the
// answer: the leading path, the offending value, what was expected.
template <typename Request>
struct Fault {
  std::string name;
  std::function<void(Request&)> make;
  std::string path;
  std::string value;
  std::string expected;
};

template <typename Request>
auto RejectionOf(const Fault<Request>& fault) {
  return FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                   AllOf(StartsWith(fault.path + ": " + fault.value),
                         HasSubstr("expected " + fault.expected),
                         SizeIs(::testing::Le(1024))));
}

void SetShape(v1::Tensor& tensor, const std::vector<std::int64_t>& shape) {
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
}

using Forward = v1::ForwardRequest;
using Backward = v1::BackwardRequest;

// The faults of what both requests have: config, input, weight.
template <typename Request>
std::vector<Fault<Request>> CommonFaults() {
  return {
      {"NoConfig", [](Request& r) { r.clear_config(); }, "config.num_groups",
       "0", ""},
      {"NoGroups", [](Request& r) { r.mutable_config()->set_num_groups(0); },
       "config.num_groups", "0", ""},
      {"NegativeGroups",
       [](Request& r) { r.mutable_config()->set_num_groups(-3); },
       "config.num_groups", "-3", ""},
      {"GroupsThatDoNotDivide",
       [](Request& r) { r.mutable_config()->set_num_groups(4); },
       "config.num_groups", "4", "a divisor of the 6 channels"},
      {"MoreGroupsThanChannels",
       [](Request& r) { r.mutable_config()->set_num_groups(12); },
       "config.num_groups", "12", "a divisor of the 6 channels"},
      {"NegativeEpsilon",
       [](Request& r) { r.mutable_config()->set_epsilon(-1.5); },
       "config.epsilon", "-1.5", ""},
      {"NanEpsilon", [](Request& r) { r.mutable_config()->set_epsilon(kNan); },
       "config.epsilon", "nan", ""},
      {"InfiniteEpsilon",
       [](Request& r) { r.mutable_config()->set_epsilon(kInfinity); },
       "config.epsilon", "inf", ""},
      {"UnknownLayout",
       [](Request& r) {
         r.mutable_config()->set_layout(static_cast<v1::Layout>(3));
       },
       "config.layout", "3", ""},
      {"NoInput", [](Request& r) { r.clear_input(); }, "input", "missing",
       "a tensor"},
      {"UnspecifiedDtype", [](Request& r) { r.mutable_input()->clear_dtype(); },
       "input.dtype", "0", ""},
      {"UnknownDtype",
       [](Request& r) {
         r.mutable_input()->set_dtype(static_cast<v1::DataType>(99));
       },
       "input.dtype", "99", ""},
      {"RankOne", [](Request& r) { SetShape(*r.mutable_input(), {96}); },
       "input.shape", "[96]", "rank 2 to 16"},
      {"RankSeventeen",
       [](Request& r) {
         SetShape(*r.mutable_input(), std::vector<std::int64_t>(17, 1));
       },
       "input.shape", "rank 17", "rank 2 to 16"},
      {"NegativeExtent",
       [](Request& r) {
         SetShape(*r.mutable_input(), {2, 6, -8});
       },
       "input.shape", "[2, 6, -8]", "extents of 0 or more"},
      {"NoChannels",
       [](Request& r) {
         SetShape(*r.mutable_input(), {2, 0, 8});
       },
       "input.shape", "[2, 0, 8]", ""},
      {"ProductTooLarge",
       [](Request& r) {
         SetShape(*r.mutable_input(), {std::int64_t{1} << 40, 6, 1 << 20});
       },
       "input.shape", "[1099511627776, 6, 1048576]", "a product below 2^60"},
      {"ProductTooLargeBesideAZero",
       [](Request& r) {
         SetShape(*r.mutable_input(), {0, 6, std::int64_t{1} << 60});
       },
       "input.shape", "[0, 6, 1152921504606846976]", "a product below 2^60"},
      {"DataTooShort",
       [](Request& r) { r.mutable_input()->mutable_data()->resize(380); },
       "input.data", "380 bytes", "384 for FLOAT32 [2, 6, 2, 4]"},
      {"DataTooLong",
       [](Request& r) { r.mutable_input()->mutable_data()->resize(385); },
       "input.data", "385 bytes", "384 for FLOAT32 [2, 6, 2, 4]"},
      {"WeightOfAnotherShape",
       [](Request& r) {
         *r.mutable_weight() = RandomTensor(DataType::kFloat32, {5}, 1);
       },
       "weight.shape", "[5]", "[6]"},
      {"WeightOfRankTwo",
       [](Request& r) {
         *r.mutable_weight() = RandomTensor(DataType::kFloat32, {1, 6}, 1);
       },
       "weight.shape", "[1, 6]", "[6]"},
      {"WeightWithoutDtype",
       [](Request& r) { r.mutable_weight()->clear_dtype(); }, "weight.dtype",
       "0", ""},
      {"EmptyWeight", [](Request& r) { r.mutable_weight()->Clear(); },
       "weight.dtype", "0", ""},
      {"WeightDataTooShort",
       [](Request& r) { r.mutable_weight()->mutable_data()->resize(23); },
       "weight.data", "23 bytes", "24 for FLOAT32 [6]"},
      {"HalfStatistics",
       [](Request& r) {
         *r.mutable_statistics()->mutable_mean() =
             RandomTensor(DataType::kFloat64, {2, 3}, 1);
       },
       "statistics.rstd", "missing", "a tensor"},
      {"OtherHalfStatistics",
       [](Request& r) {
         *r.mutable_statistics()->mutable_rstd() =
             RandomTensor(DataType::kFloat64, {2, 3}, 1);
       },
       "statistics.mean", "missing", "a tensor"},
      {"EmptyStatistics", [](Request& r) { r.mutable_statistics(); },
       "statistics.mean", "missing", "a tensor"},
      {"StatisticsOfAnotherShape",
       [](Request& r) {
         *r.mutable_statistics()->mutable_mean() =
             RandomTensor(DataType::kFloat64, {2, 3}, 1);
         *r.mutable_statistics()->mutable_rstd() =
             RandomTensor(DataType::kFloat64, {3, 2}, 1);
       },
       "statistics.rstd.shape", "[3, 2]", "[2, 3]"},
  };
}

std::vector<Fault<Forward>> ForwardFaults() {
  std::vector<Fault<Forward>> faults = CommonFaults<Forward>();
  faults.push_back({"BiasOfAnotherShape",
                    [](Forward& r) {
                      *r.mutable_bias() =
                          RandomTensor(DataType::kFloat32, {7}, 1);
                    },
                    "bias.shape", "[7]", "[6]"});
  faults.push_back({"InputBeforeWeight",
                    [](Forward& r) {
                      r.mutable_weight()->Clear();
                      r.mutable_input()->clear_data();
                    },
                    "input.data", "0 bytes", "384"});
  faults.push_back({"ConfigBeforeInput",
                    [](Forward& r) {
                      r.clear_input();
                      r.mutable_config()->set_epsilon(-1);
                    },
                    "config.epsilon", "-1", ""});
  return faults;
}

std::vector<Fault<Backward>> BackwardFaults() {
  std::vector<Fault<Backward>> faults = CommonFaults<Backward>();
  faults.push_back({"NoGradOutput", [](Backward& r) { r.clear_grad_output(); },
                    "grad_output", "missing", "a tensor"});
  faults.push_back({"GradOutputOfAnotherShape",
                    [](Backward& r) {
                      SetShape(*r.mutable_grad_output(), {2, 6, 8});
                    },
                    "grad_output.shape", "[2, 6, 8]", "[2, 6, 2, 4]"});
  faults.push_back({"GradOutputOfAnotherDtype",
                    [](Backward& r) {
                      *r.mutable_grad_output() =
                          RandomTensor(DataType::kFloat16, {2, 6, 2, 4}, 1);
                    },
                    "grad_output.dtype", "FLOAT16", "FLOAT32"});
  faults.push_back({"UnspecifiedGradient",
                    [](Backward& r) {
                      r.add_gradients(v1::GRADIENT_INPUT);
                      r.add_gradients(v1::GRADIENT_UNSPECIFIED);
                    },
                    "gradients", "0", ""});
  faults.push_back({"FirstUnknownGradient",
                    [](Backward& r) {
                      r.add_gradients(static_cast<v1::Gradient>(8));
                      r.add_gradients(static_cast<v1::Gradient>(7));
                    },
                    "gradients", "8", ""});
  faults.push_back({"FrozenWithoutStatistics",
                    [](Backward& r) { r.set_frozen_statistics(true); },
                    "frozen_statistics", "true", "false"});
  return faults;
}

template <typename Param>
std::string NameOf(const Param& param_info) {
  return param_info.param.name;
}

class ForwardRejects : public ::testing::TestWithParam<Fault<Forward>> {};

TEST_P(ForwardRejects, ByPathAndValue) {
  Forward request = SmallForwardRequest();
  GetParam().make(request);
  v1::ForwardResponse response;
  EXPECT_THAT(SharedServer().Forward(request, &response),
              RejectionOf(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Calls, ForwardRejects,
                         ::testing::ValuesIn(ForwardFaults()),
                         NameOf<::testing::TestParamInfo<Fault<Forward>>>);

class BackwardRejects : public ::testing::TestWithParam<Fault<Backward>> {};

TEST_P(BackwardRejects, ByPathAndValue) {
  Backward request = SmallBackwardRequest();
  GetParam().make(request);
  v1::BackwardResponse response;
  EXPECT_THAT(SharedServer().Backward(request, &response),
              RejectionOf(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Calls, BackwardRejects,
                         ::testing::ValuesIn(BackwardFaults()),
                         NameOf<::testing::TestParamInfo<Fault<Backward>>>);

TEST(Rejections, GiveTheSentenceOfTheContract) {
  Forward request = SmallForwardRequest();
  request.mutable_input()->mutable_data()->resize(380);
  v1::ForwardResponse response;
  EXPECT_THAT(
      SharedServer().Forward(request, &response),
      FailsWith(
          grpc::StatusCode::INVALID_ARGUMENT,
          "input.data: 380 bytes, expected 384 for FLOAT32 [2, 6, 2, 4]"));
}

class RawRejects : public ::testing::TestWithParam<const char*> {
 protected:
  std::string method() const { return GetParam(); }
};

TEST_P(RawRejects, ACallWithoutAMessage) {
  RawCall call(SharedServer().channel(), method());
  call.EndRequest();
  EXPECT_THAT(call.Finish(), FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                                       "request: missing, expected a " +
                                           method() + "Request"));
}

TEST_P(RawRejects, BytesThatAreNotTheMessage) {
  RawCall call(SharedServer().channel(), method());
  // An input of 127 bytes of which one is there.
  call.Send(std::string("\x0a\x02\x08\x03\x7a\x7f\x00", 7));
  EXPECT_THAT(call.Finish(),
              FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                        StartsWith("request: not a valid " + method() +
                                   "Request at byte ")));
}

TEST_P(RawRejects, AnEmptyMessageByItsFirstField) {
  RawCall call(SharedServer().channel(), method());
  call.Send(std::string());
  EXPECT_THAT(call.Finish(), FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                                       StartsWith("config.num_groups: 0")));
}

INSTANTIATE_TEST_SUITE_P(Calls, RawRejects,
                         ::testing::Values("Forward", "Backward"),
                         [](const auto& param_info) {
                           return std::string(param_info.param);
                         });

TEST(Rejections, LeaveTheServerAsItWas) {
  Forward request = SmallForwardRequest();
  v1::ForwardResponse response;
  for (int i = 0; i < 300; ++i) {
    RawCall call(SharedServer().channel(), "Forward");
    call.EndRequest();
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_THAT(SharedServer().Forward(request, &response), Succeeds());
}

TEST(Rejections, AnswerAnUnknownMethodWithUnimplemented) {
  RawCall call(SharedServer().channel(), "Sideways");
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace groupnorm
