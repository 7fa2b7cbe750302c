#ifndef GROUPNORM_TESTS_UNIT_CLIENT_EXAMPLE_CALLS_H_
#define GROUPNORM_TESTS_UNIT_CLIENT_EXAMPLE_CALLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "groupnorm/client.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "tests/unit/client/fake_server.h"

/// Calls that need little, and what a right server could answer to them.
namespace groupnorm {

/// A client that gives up late: no test but those of the deadline waits for it.
std::unique_ptr<Client> Connect(const std::string& address,
                                absl::Duration timeout = absl::Minutes(2));

/// One that tries nothing twice.
std::unique_ptr<Client> ConnectOnce(const std::string& address);

template <typename T>
v1::Tensor MakeTensor(v1::DataType dtype, std::vector<std::int64_t> shape,
                      const std::vector<T>& values) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(values.data(), values.size() * sizeof(T));
  return tensor;
}

/// The values of the inputs: [2, 2] of FLOAT32.
extern const std::vector<float> kInput;

ForwardArguments ForwardExample();
BackwardArguments BackwardExample();

/// What a right server could answer to them: output 1, 2, 3, 4; mean 0.5, 1.5;
/// rstd 2.5, 3.5.
v1::ForwardResponse RightForwardResponse();

/// grad_weight 1, 2; grad_bias 3, 4; grad_input 5, 6, 7, 8.
v1::BackwardResponse RightBackwardResponse();

FakeServer::Method Answer(const google::protobuf::MessageLite& response);

/// Memory for every result of ForwardExample.
struct ForwardMemory {
  std::vector<float> output = std::vector<float>(4);
  std::vector<double> mean = std::vector<double>(2);
  std::vector<double> rstd = std::vector<double>(2);

  ForwardResults results() {
    return {.output = output.data(), .mean = mean.data(), .rstd = rstd.data()};
  }
};

/// Memory for every result of BackwardExample, also per sample.
struct BackwardMemory {
  std::vector<float> grad_input = std::vector<float>(4);
  std::vector<double> grad_weight = std::vector<double>(4);
  std::vector<double> grad_bias = std::vector<double>(4);

  BackwardResults results() {
    return {.grad_input = grad_input.data(),
            .grad_weight = grad_weight.data(),
            .grad_bias = grad_bias.data()};
  }
};

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_CLIENT_EXAMPLE_CALLS_H_
