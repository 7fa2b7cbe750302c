#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

constexpr std::int64_t kBatch = 3;

// Large enough for several tasks of every phase: a group has more values than
// one block.
struct Case {
  DataType dtype;
  Layout layout;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DataType dtype : kDataTypes) {
    cases.push_back({dtype, Layout::kChannelsFirst});
    cases.push_back({dtype, Layout::kChannelsLast});
  }
  return cases;
}

v1::BackwardRequest RequestOf(const Case& of) {
  const std::vector<std::int64_t> shape =
      of.layout == Layout::kChannelsFirst
          ? std::vector<std::int64_t>{kBatch, 6, 211, 223}
          : std::vector<std::int64_t>{kBatch, 211, 223, 6};
  v1::BackwardRequest request;
  request.mutable_config()->set_num_groups(2);
  request.mutable_config()->set_layout(static_cast<v1::Layout>(of.layout));
  *request.mutable_input() = RandomTensor(of.dtype, shape, 1, 30);
  *request.mutable_grad_output() = RandomTensor(of.dtype, shape, 2);
  *request.mutable_weight() = RandomTensor(DataType::kFloat32, {6}, 3);
  return request;
}

v1::ForwardRequest ForwardOf(const v1::BackwardRequest& backward) {
  v1::ForwardRequest request;
  *request.mutable_config() = backward.config();
  *request.mutable_input() = backward.input();
  *request.mutable_weight() = backward.weight();
  return request;
}

std::string Forward(TestServer& server, const v1::ForwardRequest& request) {
  v1::ForwardResponse response;
  EXPECT_THAT(server.Forward(request, &response), Succeeds());
  return response.SerializeAsString();
}

v1::BackwardResponse Backward(TestServer& server,
                              const v1::BackwardRequest& request) {
  v1::BackwardResponse response;
  EXPECT_THAT(server.Backward(request, &response), Succeeds());
  return response;
}

TestServer ServerWithWorkers(int workers) {
  ServerOptions options = LoopbackOptions();
  options.workers = workers;
  return TestServer(options);
}

// Sample `index` of a tensor alone.
v1::Tensor SampleOf(const v1::Tensor& batch, std::int64_t index) {
  v1::Tensor sample = batch;
  sample.set_shape(0, 1);
  const std::size_t bytes =
      batch.data().size() / static_cast<std::size_t>(batch.shape(0));
  sample.set_data(
      batch.data().substr(static_cast<std::size_t>(index) * bytes, bytes));
  return sample;
}

TEST(ReproducibleBits, DoNotDependOnTheNumberOfWorkers) {
  TestServer one = ServerWithWorkers(1);
  TestServer two = ServerWithWorkers(2);
  TestServer eight = ServerWithWorkers(8);
  for (const Case& of : Cases()) {
    SCOPED_TRACE(DataTypeName(of.dtype));
    const v1::BackwardRequest request = RequestOf(of);
    const std::string forward = Forward(one, ForwardOf(request));
    EXPECT_TRUE(Forward(two, ForwardOf(request)) == forward);
    EXPECT_TRUE(Forward(eight, ForwardOf(request)) == forward);
    const std::string backward = Backward(one, request).SerializeAsString();
    EXPECT_TRUE(Backward(two, request).SerializeAsString() == backward);
    EXPECT_TRUE(Backward(eight, request).SerializeAsString() == backward);
  }
}

TEST(ReproducibleBits, DoNotDependOnTheOtherSamplesOfTheBatch) {
  TestServer server;
  for (const Case& of : Cases()) {
    SCOPED_TRACE(DataTypeName(of.dtype));
    v1::BackwardRequest batch = RequestOf(of);
    batch.set_per_sample_gradients(true);
    const v1::BackwardResponse together = Backward(server, batch);
    v1::ForwardResponse output;
    ASSERT_THAT(server.Forward(ForwardOf(batch), &output), Succeeds());
    for (std::int64_t i = 0; i < kBatch; ++i) {
      v1::BackwardRequest alone = batch;
      *alone.mutable_input() = SampleOf(batch.input(), i);
      *alone.mutable_grad_output() = SampleOf(batch.grad_output(), i);
      const v1::BackwardResponse gradients = Backward(server, alone);
      const auto same = [i](const v1::Tensor& of_batch,
                            const v1::Tensor& of_sample) {
        return SampleOf(of_batch, i).data() == of_sample.data();
      };
      EXPECT_TRUE(same(together.grad_input(), gradients.grad_input()));
      EXPECT_TRUE(same(together.grad_weight(), gradients.grad_weight()));
      EXPECT_TRUE(same(together.grad_bias(), gradients.grad_bias()));
      v1::ForwardResponse sample;
      ASSERT_THAT(server.Forward(ForwardOf(alone), &sample), Succeeds());
      EXPECT_TRUE(same(output.output(), sample.output()));
      EXPECT_TRUE(same(output.statistics().mean(), sample.statistics().mean()));
      EXPECT_TRUE(same(output.statistics().rstd(), sample.statistics().rstd()));
    }
  }
}

TEST(ReproducibleBits, DoNotDependOnWhichGradientsAreAskedFor) {
  TestServer server;
  for (const Case& of : Cases()) {
    SCOPED_TRACE(DataTypeName(of.dtype));
    v1::BackwardRequest request = RequestOf(of);
    const v1::BackwardResponse all = Backward(server, request);
    for (int subset = 1; subset < 8; ++subset) {
      request.clear_gradients();
      if (subset & 1) request.add_gradients(v1::GRADIENT_INPUT);
      if (subset & 2) request.add_gradients(v1::GRADIENT_WEIGHT);
      if (subset & 4) request.add_gradients(v1::GRADIENT_BIAS);
      v1::BackwardResponse expected = all;
      if (!(subset & 1)) expected.clear_grad_input();
      if (!(subset & 2)) expected.clear_grad_weight();
      if (!(subset & 4)) expected.clear_grad_bias();
      EXPECT_TRUE(Backward(server, request).SerializeAsString() ==
                  expected.SerializeAsString())
          << subset;
    }
  }
}

TEST(ReproducibleBits, AreTheSameWithTheStatisticsOfForward) {
  TestServer server;
  for (const Case& of : Cases()) {
    SCOPED_TRACE(DataTypeName(of.dtype));
    v1::BackwardRequest request = RequestOf(of);
    const std::string own = Backward(server, request).SerializeAsString();
    v1::ForwardResponse forward;
    ASSERT_THAT(server.Forward(ForwardOf(request), &forward), Succeeds());
    *request.mutable_statistics() = forward.statistics();
    EXPECT_TRUE(Backward(server, request).SerializeAsString() == own);
  }
}

}  // namespace
}  // namespace groupnorm
