#include "tests/testing/messages.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tensor/element.h"

namespace groupnorm {

v1::Tensor TensorWithoutData(DataType dtype,
                             const std::vector<std::int64_t>& shape) {
  v1::Tensor tensor;
  tensor.set_dtype(static_cast<v1::DataType>(dtype));
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  return tensor;
}

v1::Tensor RandomTensor(DataType dtype, const std::vector<std::int64_t>& shape,
                        std::uint64_t seed, double mean) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    count *= static_cast<std::size_t>(extent);
  }
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(mean, 1);
  std::vector<double> values(count);
  for (double& value : values) value = normal(random);
  v1::Tensor tensor = TensorWithoutData(dtype, shape);
  tensor.mutable_data()->resize(count * ElementSize(dtype));
  DoublesToElements(dtype, values, tensor.mutable_data()->data());
  return tensor;
}

TensorView ViewOf(const v1::Tensor& tensor) {
  const std::vector<std::int64_t> extents(tensor.shape().begin(),
                                          tensor.shape().end());
  const absl::StatusOr<Shape> shape = Shape::Create(extents);
  EXPECT_TRUE(shape.ok()) << shape.status();
  const TensorView view = {DataTypeFromValue(tensor.dtype()).value(),
                           shape.value(), tensor.data().data()};
  EXPECT_EQ(view.size_bytes(), tensor.data().size());
  return view;
}

std::vector<double> ValuesOf(const v1::Tensor& tensor) {
  const TensorView view = ViewOf(tensor);
  std::vector<double> values(
      static_cast<std::size_t>(view.shape.num_elements()));
  ElementsToDoubles(view.dtype, view.data, values);
  return values;
}

v1::ForwardRequest SmallForwardRequest() {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(3);
  *request.mutable_input() = RandomTensor(DataType::kFloat32, {2, 6, 2, 4}, 1);
  *request.mutable_weight() = RandomTensor(DataType::kFloat32, {6}, 2);
  *request.mutable_bias() = RandomTensor(DataType::kFloat32, {6}, 3);
  return request;
}

v1::BackwardRequest SmallBackwardRequest() {
  const v1::ForwardRequest forward = SmallForwardRequest();
  v1::BackwardRequest request;
  *request.mutable_config() = forward.config();
  *request.mutable_input() = forward.input();
  *request.mutable_weight() = forward.weight();
  *request.mutable_grad_output() =
      RandomTensor(DataType::kFloat32, {2, 6, 2, 4}, 4);
  return request;
}

}  // namespace groupnorm
