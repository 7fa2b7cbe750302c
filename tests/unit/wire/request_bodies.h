#ifndef GROUPNORM_TESTS_UNIT_WIRE_REQUEST_BODIES_H_
#define GROUPNORM_TESTS_UNIT_WIRE_REQUEST_BODIES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "wire_bytes.h"

namespace groupnorm {

// Element types as the contract numbers them.
inline constexpr std::uint64_t kFloat32 = 1;
inline constexpr std::uint64_t kFloat64 = 2;
inline constexpr std::uint64_t kFloat16 = 3;
inline constexpr std::uint64_t kBfloat16 = 4;

/// The bodies of a request's fields; none where the field is absent. As it
/// stands a valid request of three groups.
struct Bodies {
  std::optional<std::string> config = wire_bytes::VarintField(1, 3);
  std::optional<std::string> weight;
  std::optional<std::string> bias;
  std::optional<std::string> statistics;
  std::optional<std::string> grad_output =
      wire_bytes::Tensor(kFloat32, {2, 6, 2, 4}, 384);
  std::optional<std::string> input =
      wire_bytes::Tensor(kFloat32, {2, 6, 2, 4}, 384);
  std::string other_fields;  ///< As they are, at the end.
};

/// The encoded requests; `bias` is only in the one, `grad_output` in the other.
std::string ForwardBytes(const Bodies& bodies);
std::string BackwardBytes(const Bodies& bodies);

/// The body of a Statistics.
std::string Statistics(const std::string& mean, const std::string& rstd);

/// The body of the config { num_groups: 3 } with an epsilon.
std::string WithEpsilon(double epsilon);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_WIRE_REQUEST_BODIES_H_
