#ifndef GROUPNORM_TESTS_TESTING_MESSAGES_H_
#define GROUPNORM_TESTS_TESTING_MESSAGES_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"
#include "groupnorm/tensor_view.h"
#include "groupnorm/v1/groupnorm.pb.h"

/// Requests and tensors as generated messages, for tests.
namespace groupnorm {

/// A tensor of normally distributed values: the same for the same seed.
v1::Tensor RandomTensor(DataType dtype, const std::vector<std::int64_t>& shape,
                        std::uint64_t seed, double mean = 0);

/// A tensor that says shape and dtype but has no data.
v1::Tensor TensorWithoutData(DataType dtype,
                             const std::vector<std::int64_t>& shape);

/// Fails the test where the message's shape is none.
TensorView ViewOf(const v1::Tensor& tensor);
TensorView ViewOf(v1::Tensor&& tensor) = delete;

std::vector<double> ValuesOf(const v1::Tensor& tensor);

/// A valid request of a FLOAT32 input [2, 6, 2, 4] in three groups, with weight
/// and bias.
v1::ForwardRequest SmallForwardRequest();

/// The Backward of SmallForwardRequest(), with all gradients.
v1::BackwardRequest SmallBackwardRequest();

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_MESSAGES_H_
