#include "bench/service/forward_case.h"

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>
#include <span>
#include <string>

#include "kernels/group_norm.h"
#include "tensor/group_geometry.h"

namespace groupnorm::bench {

namespace {

constexpr std::int64_t kChannels = 32;
constexpr std::int64_t kGroups = 8;

// Empty unless the request is of the kind that ForwardCase makes.
std::optional<GroupGeometry> GeometryOf(const v1::ForwardRequest& request) {
  const v1::Tensor& input = request.input();
  const auto shape = Shape::Create(std::span(
      input.shape().data(), static_cast<std::size_t>(input.shape_size())));
  const std::int64_t groups = request.config().num_groups();
  if (!shape.ok() || shape->rank() < 2 || shape->extent(1) == 0 || groups < 1 ||
      shape->extent(1) % groups != 0 ||
      request.config().layout() != v1::LAYOUT_CHANNELS_FIRST ||
      input.dtype() != v1::DATA_TYPE_FLOAT32 || request.has_weight() ||
      request.has_bias() || request.has_statistics() ||
      input.data().size() !=
          static_cast<std::size_t>(shape->num_elements()) * sizeof(float)) {
    return std::nullopt;
  }
  return GroupGeometry::Of(*shape, Layout::kChannelsFirst, groups);
}

// The memory of a tensor in a message, of a size and a type.
std::string& Prepare(v1::Tensor& tensor, v1::DataType dtype,
                     std::initializer_list<std::int64_t> shape,
                     std::size_t bytes) {
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.mutable_data()->resize(bytes);
  return *tensor.mutable_data();
}

std::string& PrepareStatistic(v1::Tensor& tensor,
                              const GroupGeometry& geometry) {
  return Prepare(
      tensor, v1::DATA_TYPE_FLOAT64, {geometry.batch, geometry.num_groups},
      static_cast<std::size_t>(geometry.batch * geometry.num_groups) *
          sizeof(double));
}

// Heap memory is aligned for every element type.
template <typename T>
T* As(std::string& bytes) {
  return reinterpret_cast<T*>(bytes.data());
}

}  // namespace

ForwardCase ForwardCase::Of(std::size_t tensor_bytes) {
  const std::size_t spatial = tensor_bytes / kTensorGrain;
  ForwardCase result;
  v1::ForwardRequest& request = result.request;
  request.mutable_config()->set_num_groups(kGroups);
  request.mutable_config()->set_layout(v1::LAYOUT_CHANNELS_FIRST);
  std::string& data =
      Prepare(*request.mutable_input(), v1::DATA_TYPE_FLOAT32,
              {1, kChannels, static_cast<std::int64_t>(spatial)}, tensor_bytes);
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> distribution(-1, 3);
  for (std::size_t i = 0; i < tensor_bytes / sizeof(float); ++i) {
    As<float>(data)[i] = distribution(generator);
  }
  if (!ForwardArithmetic().Run(request, result.response).ok()) std::abort();
  return result;
}

grpc::Status ForwardArithmetic::Run(const v1::ForwardRequest& request,
                                    v1::ForwardResponse& response) {
  const std::optional<GroupGeometry> geometry = GeometryOf(request);
  if (!geometry) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            "request: expected a float32 input in channels first, and no "
            "further tensors"};
  }
  const ForwardProblem problem = {.geometry = *geometry,
                                  .dtype = DataType::kFloat32,
                                  .epsilon = request.config().has_epsilon()
                                                 ? request.config().epsilon()
                                                 : 1e-5};
  const auto channels = static_cast<std::size_t>(geometry->channels);
  ones_.resize(channels, 1.0);
  zeros_.resize(channels, 0.0);
  Buffer scratch = scratch_.Take(ForwardScratchBytes(problem));
  v1::Statistics& statistics = *response.mutable_statistics();
  v1::Tensor& output = *response.mutable_output();
  output.set_dtype(request.input().dtype());
  *output.mutable_shape() = request.input().shape();
  output.mutable_data()->resize(request.input().data().size());
  const auto computation = MakeForward(
      problem,
      {.input =
           reinterpret_cast<const std::byte*>(request.input().data().data()),
       .weight = ones_.data(),
       .bias = zeros_.data(),
       .mean =
           As<double>(PrepareStatistic(*statistics.mutable_mean(), *geometry)),
       .rstd =
           As<double>(PrepareStatistic(*statistics.mutable_rstd(), *geometry)),
       .output = As<std::byte>(*output.mutable_data()),
       .scratch = scratch.data()});
  RunComputation(*computation);
  return grpc::Status::OK;
}

}  // namespace groupnorm::bench
