#ifndef GROUPNORM_SERVER_OPERAND_BUFFERS_H_
#define GROUPNORM_SERVER_OPERAND_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "groupnorm/shape.h"
#include "server/gather.h"
#include "tensor/buffer_pool.h"
#include "tensor/group_geometry.h"
#include "wire/request.h"

/// What the memory of a Forward and of a Backward have in common.
namespace groupnorm {

inline std::span<double> Doubles(Buffer& buffer) {
  // Pooled memory is aligned for doubles and holds nothing else.
  return {reinterpret_cast<double*>(buffer.data()),
          buffer.size() / sizeof(double)};
}

inline Shape StatisticsShape(const GroupGeometry& geometry) {
  return {geometry.batch, geometry.num_groups};
}

/// Doubles of a weight or a bias: none where the input is empty, since nothing
/// reads them then and a tiny request may name 2^40 channels.
inline std::int64_t ParameterLength(const GroupGeometry& geometry) {
  return geometry.num_elements() == 0 ? 0 : geometry.channels;
}

inline Buffer TakeParameter(const GroupGeometry& geometry, BufferPool& pool) {
  return pool.Take(static_cast<std::size_t>(ParameterLength(geometry)) *
                   sizeof(double));
}

/// Gathers a weight or a bias; what the request left out is `absent`.
inline void AddParameter(const std::optional<TensorPayload>& parameter,
                         double absent, Buffer& buffer, Gather& gather) {
  if (buffer.size() == 0) return;
  if (parameter.has_value()) {
    gather.AddDoubles(*parameter, Doubles(buffer));
  } else {
    gather.AddConstant(absent, Doubles(buffer));
  }
}

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_OPERAND_BUFFERS_H_
