// A running server against the conformance vectors, each request sent as the
// bytes that the vectors hold, under every instruction set of this machine.

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "groupnorm/v1/groupnorm.pb.h"
#include "server/server.h"
#include "tests/conformance/manifest.h"
#include "tests/unit/kernels/simd_targets.h"

namespace groupnorm::conformance {
namespace {

struct Answer {
  grpc::Status status;
  grpc::ByteBuffer response;
};

// One server for all cases, with default limits, and a connection to it.
class ServerConformance : public testing::TestWithParam<SimdTargetOfKernels> {
 protected:
  void SetUp() override {
    if (!IsSupported(GetParam())) GTEST_SKIP() << ReasonToSkip(GetParam());
    forced_.emplace(GetParam());
    ServerOptions options;
    options.listen = {"127.0.0.1:0"};
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateChannel(
        server_->addresses()[0], grpc::InsecureChannelCredentials()));
  }

  Answer Call(const Case& tested) {
    const grpc::Slice slice(tested.request);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const auto call = stub_->PrepareUnaryCall(
        &context, "/groupnorm.v1.GroupNormService/" + tested.method, request,
        &queue);
    call->StartCall();
    Answer answer;
    call->Finish(&answer.response, &answer.status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok) && ok);
    return answer;
  }

 private:
  // Outlives the server's threads.
  std::optional<ForcedSimdTarget> forced_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

INSTANTIATE_TEST_SUITE_P(Targets, ServerConformance,
                         testing::ValuesIn(kSimdTargets),
                         [](const auto& target) {
                           return TestNameOf(target.param);
                         });

template <typename Response>
Response Parse(grpc::ByteBuffer& bytes) {
  Response response;
  const grpc::Status status =
      grpc::SerializationTraits<Response>::Deserialize(&bytes, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

// The tensors that a response holds, by path.
std::map<std::string, v1::Tensor> Tensors(const std::string& method,
                                          grpc::ByteBuffer& bytes) {
  std::map<std::string, v1::Tensor> tensors;
  const auto add = [&tensors](const std::string& path, bool present,
                              const v1::Tensor& tensor) {
    if (present) tensors[path] = tensor;
  };
  if (method == "Forward") {
    const auto response = Parse<v1::ForwardResponse>(bytes);
    const v1::Statistics& statistics = response.statistics();
    add("statistics.mean", statistics.has_mean(), statistics.mean());
    add("statistics.rstd", statistics.has_rstd(), statistics.rstd());
    add("output", response.has_output(), response.output());
  } else {
    const auto response = Parse<v1::BackwardResponse>(bytes);
    add("grad_weight", response.has_grad_weight(), response.grad_weight());
    add("grad_bias", response.has_grad_bias(), response.grad_bias());
    add("grad_input", response.has_grad_input(), response.grad_input());
  }
  return tensors;
}

void ExpectTensor(const ExpectedTensor& expected, const v1::Tensor& actual) {
  SCOPED_TRACE(expected.path);
  ASSERT_EQ(actual.dtype(), static_cast<int>(expected.expected.dtype));
  const std::vector<std::int64_t> extents(actual.shape().begin(),
                                          actual.shape().end());
  ASSERT_EQ(extents, expected.shape);
  const TensorView view = {expected.expected.dtype, *Shape::Create(extents),
                           actual.data().data()};
  ASSERT_EQ(actual.data().size(), view.size_bytes());
  const reference::Comparison comparison =
      reference::Compare(expected.expected, view);
  EXPECT_TRUE(comparison.ok())
      << comparison.num_wrong << " wrong, the first at "
      << comparison.first_wrong << "; errors of up to "
      << comparison.max_absolute_error << ", " << comparison.max_bound_ratio
      << " times the bound";
}

TEST_P(ServerConformance, AnswersEveryRequestAsTheVectorsSay) {
  const absl::StatusOr<std::vector<Case>> cases = LoadCases(VectorsFolder());
  ASSERT_TRUE(cases.ok()) << cases.status();
  for (const Case& tested : *cases) {
    SCOPED_TRACE(tested.name);
    Answer answer = Call(tested);
    const absl::Status check = CheckStatus(
        tested, static_cast<absl::StatusCode>(answer.status.error_code()),
        answer.status.error_message());
    EXPECT_TRUE(check.ok()) << check;
    if (!answer.status.ok()) continue;
    const std::map<std::string, v1::Tensor> tensors =
        Tensors(tested.method, answer.response);
    EXPECT_EQ(tensors.size(), tested.tensors.size());
    for (const ExpectedTensor& expected : tested.tensors) {
      const auto found = tensors.find(expected.path);
      if (found == tensors.end()) {
        ADD_FAILURE() << expected.path << " is missing";
        continue;
      }
      ExpectTensor(expected, found->second);
    }
  }
}

}  // namespace
}  // namespace groupnorm::conformance
