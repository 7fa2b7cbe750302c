#include "tests/fuzz/contract_oracle.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace groupnorm::fuzz {

namespace {

using Extents = std::vector<std::int64_t>;

Extents ExtentsOf(const v1::Tensor& tensor) {
  return {tensor.shape().begin(), tensor.shape().end()};
}

std::size_t ElementBytes(int dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT32:
      return 4;
    case v1::DATA_TYPE_FLOAT64:
      return 8;
    case v1::DATA_TYPE_FLOAT16:
    case v1::DATA_TYPE_BFLOAT16:
      return 2;
    default:
      return 0;  // None that exists.
  }
}

// Zeros counted as ones, a tensor has to fit what 64 bits can address.
bool ProductFits(const Extents& extents) {
  __extension__ typedef unsigned __int128 Wide;
  Wide bytes = 8;
  for (const std::int64_t extent : extents) {
    if (extent > 0) bytes *= static_cast<Wide>(extent);
    if (bytes > std::numeric_limits<std::int64_t>::max()) return false;
  }
  return true;
}

bool HasItsData(const v1::Tensor& tensor) {
  std::size_t bytes = ElementBytes(tensor.dtype());
  for (const std::int64_t extent : tensor.shape()) {
    bytes *= static_cast<std::size_t>(extent);
  }
  return tensor.data().size() == bytes;
}

std::size_t ChannelAxis(const v1::GroupNormConfig& config, std::size_t rank) {
  return config.layout() == v1::LAYOUT_CHANNELS_LAST ? rank - 1 : 1;
}

std::string FaultOfConfig(const v1::GroupNormConfig& config) {
  if (config.num_groups() <= 0) return "config.num_groups";
  if (config.has_epsilon() &&
      (!std::isfinite(config.epsilon()) || config.epsilon() < 0)) {
    return "config.epsilon";
  }
  if (config.layout() < 0 || config.layout() > 2) return "config.layout";
  return "";
}

std::string FaultOfInput(const v1::GroupNormConfig& config, bool present,
                         const v1::Tensor& input) {
  if (!present) return "input";
  if (ElementBytes(input.dtype()) == 0) return "input.dtype";
  const Extents extents = ExtentsOf(input);
  if (extents.size() < 2 || extents.size() > 16) return "input.shape";
  for (const std::int64_t extent : extents) {
    if (extent < 0) return "input.shape";
  }
  const std::int64_t channels = extents[ChannelAxis(config, extents.size())];
  if (!ProductFits(extents) || channels == 0) return "input.shape";
  if (!HasItsData(input)) return "input.data";
  if (channels % config.num_groups() != 0) return "config.num_groups";
  return "";
}

std::string FaultOfTensor(const std::string& path, bool present,
                          const v1::Tensor& tensor, const Extents& extents) {
  if (!present) return path;
  if (ElementBytes(tensor.dtype()) == 0) return path + ".dtype";
  if (ExtentsOf(tensor) != extents) return path + ".shape";
  if (!HasItsData(tensor)) return path + ".data";
  return "";
}

std::string FaultOfParameter(const std::string& path, bool present,
                             const v1::Tensor& tensor, std::int64_t channels) {
  return present ? FaultOfTensor(path, true, tensor, {channels}) : "";
}

std::string FaultOfStatistics(bool present, const v1::Statistics& statistics,
                              const Extents& extents) {
  if (!present) return "";
  std::string fault = FaultOfTensor("statistics.mean", statistics.has_mean(),
                                    statistics.mean(), extents);
  if (!fault.empty()) return fault;
  return FaultOfTensor("statistics.rstd", statistics.has_rstd(),
                       statistics.rstd(), extents);
}

// What both requests have in front of their own fields.
template <typename Request>
std::string FaultOfConfigAndInput(const Request& request) {
  std::string fault = FaultOfConfig(request.config());
  if (!fault.empty()) return fault;
  return FaultOfInput(request.config(), request.has_input(), request.input());
}

template <typename Request>
std::int64_t Channels(const Request& request) {
  const Extents extents = ExtentsOf(request.input());
  return extents[ChannelAxis(request.config(), extents.size())];
}

template <typename Request>
Extents StatisticsExtents(const Request& request) {
  return {request.input().shape(0), request.config().num_groups()};
}

}  // namespace

std::string FirstFault(const v1::ForwardRequest& request) {
  std::string fault = FaultOfConfigAndInput(request);
  if (!fault.empty()) return fault;
  const std::int64_t channels = Channels(request);
  fault = FaultOfParameter("weight", request.has_weight(), request.weight(),
                           channels);
  if (!fault.empty()) return fault;
  fault =
      FaultOfParameter("bias", request.has_bias(), request.bias(), channels);
  if (!fault.empty()) return fault;
  return FaultOfStatistics(request.has_statistics(), request.statistics(),
                           StatisticsExtents(request));
}

std::string FirstFault(const v1::BackwardRequest& request) {
  std::string fault = FaultOfConfigAndInput(request);
  if (!fault.empty()) return fault;
  const v1::Tensor& grad_output = request.grad_output();
  fault = FaultOfTensor("grad_output", request.has_grad_output(), grad_output,
                        ExtentsOf(request.input()));
  // A wrong type is named before a wrong shape, also one that exists.
  if (request.has_grad_output() &&
      grad_output.dtype() != request.input().dtype()) {
    return "grad_output.dtype";
  }
  if (!fault.empty()) return fault;
  fault = FaultOfParameter("weight", request.has_weight(), request.weight(),
                           Channels(request));
  if (!fault.empty()) return fault;
  fault = FaultOfStatistics(request.has_statistics(), request.statistics(),
                            StatisticsExtents(request));
  if (!fault.empty()) return fault;
  for (const int gradient : request.gradients()) {
    if (gradient < 1 || gradient > 3) return "gradients";
  }
  if (request.frozen_statistics() && !request.has_statistics()) {
    return "frozen_statistics";
  }
  return "";
}

}  // namespace groupnorm::fuzz
