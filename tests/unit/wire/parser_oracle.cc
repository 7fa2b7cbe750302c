#include "parser_oracle.h"

#include <bit>
#include <cstdint>

#include "absl/strings/escaping.h"

namespace groupnorm {

namespace {

template <typename A, typename B>
Difference CompareValue(const char* name, A actual, B expected) {
  if (actual == expected) return std::nullopt;
  return absl::StrCat(name, ": ", actual, ", protobuf says ", expected);
}

Difference Compare(const MessageSlices& message, const UncheckedTensor& actual,
                   const v1::Tensor& expected) {
  if (auto d = CompareValue("dtype", actual.dtype, int{expected.dtype()})) {
    return d;
  }
  const auto rank = static_cast<std::uint64_t>(expected.shape_size());
  if (auto d = CompareValue("rank", actual.rank, rank)) return d;
  for (int i = 0; i < expected.shape_size() && i < Shape::kMaxRank; ++i) {
    if (auto d = CompareValue("extent", actual.first_extents[i],
                              std::int64_t{expected.shape(i)})) {
      return d;
    }
  }
  std::string data(actual.data.size, '\0');
  message.Copy(actual.data, reinterpret_cast<std::byte*>(data.data()));
  if (data != expected.data()) {
    return absl::StrCat("data: ", absl::CHexEscape(data), ", protobuf says ",
                        absl::CHexEscape(expected.data()));
  }
  return std::nullopt;
}

Difference Compare(const UncheckedConfig& actual,
                   const v1::GroupNormConfig& expected) {
  if (auto d = CompareValue("num_groups", actual.num_groups,
                            std::int64_t{expected.num_groups()})) {
    return d;
  }
  if (auto d = CompareValue("epsilon given", actual.epsilon.has_value(),
                            expected.has_epsilon())) {
    return d;
  }
  if (auto d = CompareValue(
          "epsilon", std::bit_cast<std::uint64_t>(actual.epsilon.value_or(0)),
          std::bit_cast<std::uint64_t>(expected.epsilon()))) {
    return d;
  }
  return CompareValue("layout", actual.layout, int{expected.layout()});
}

Difference Compare(const MessageSlices& message,
                   const UncheckedStatistics& actual,
                   const v1::Statistics& expected);

template <typename Actual, typename Expected>
Difference CompareField(const char* name, const MessageSlices& message,
                        const std::optional<Actual>& actual,
                        bool expected_present, const Expected& expected) {
  if (auto d = CompareValue(name, actual.has_value(), expected_present)) {
    return d;
  }
  if (!actual.has_value()) return std::nullopt;
  const Difference difference = Compare(message, *actual, expected);
  if (!difference.has_value()) return std::nullopt;
  return absl::StrCat(name, ".", *difference);
}

Difference Compare(const MessageSlices& message,
                   const UncheckedStatistics& actual,
                   const v1::Statistics& expected) {
  if (auto d = CompareField("mean", message, actual.mean, expected.has_mean(),
                            expected.mean())) {
    return d;
  }
  return CompareField("rstd", message, actual.rstd, expected.has_rstd(),
                      expected.rstd());
}

Difference Compare(const UncheckedGradients& actual,
                   const v1::BackwardRequest& expected) {
  UncheckedGradients wanted;
  for (const int gradient : expected.gradients()) {
    ++wanted.count;
    wanted.input |= gradient == v1::GRADIENT_INPUT;
    wanted.weight |= gradient == v1::GRADIENT_WEIGHT;
    wanted.bias |= gradient == v1::GRADIENT_BIAS;
    if ((gradient < 1 || gradient > 3) && !wanted.first_unknown) {
      wanted.first_unknown = gradient;
    }
  }
  const bool same =
      actual.count == wanted.count && actual.input == wanted.input &&
      actual.weight == wanted.weight && actual.bias == wanted.bias &&
      actual.first_unknown == wanted.first_unknown;
  if (same) return std::nullopt;
  return "gradients: not those of " + expected.ShortDebugString();
}

}  // namespace

Difference ForwardRequestType::CompareAll(const MessageSlices& message,
                                          const Unchecked& actual,
                                          const Generated& expected) {
  if (auto d = Compare(actual.config, expected.config())) return d;
  if (auto d = CompareField("weight", message, actual.weight,
                            expected.has_weight(), expected.weight())) {
    return d;
  }
  if (auto d = CompareField("bias", message, actual.bias, expected.has_bias(),
                            expected.bias())) {
    return d;
  }
  if (auto d = CompareField("statistics", message, actual.statistics,
                            expected.has_statistics(), expected.statistics())) {
    return d;
  }
  return CompareField("input", message, actual.input, expected.has_input(),
                      expected.input());
}

Difference BackwardRequestType::CompareAll(const MessageSlices& message,
                                           const Unchecked& actual,
                                           const Generated& expected) {
  if (auto d = Compare(actual.config, expected.config())) return d;
  if (auto d = CompareField("weight", message, actual.weight,
                            expected.has_weight(), expected.weight())) {
    return d;
  }
  if (auto d = CompareField("statistics", message, actual.statistics,
                            expected.has_statistics(), expected.statistics())) {
    return d;
  }
  if (auto d = Compare(actual.gradients, expected)) return d;
  if (auto d = CompareValue("frozen_statistics", actual.frozen_statistics,
                            expected.frozen_statistics())) {
    return d;
  }
  if (auto d = CompareValue("per_sample_gradients", actual.per_sample_gradients,
                            expected.per_sample_gradients())) {
    return d;
  }
  if (auto d =
          CompareField("grad_output", message, actual.grad_output,
                       expected.has_grad_output(), expected.grad_output())) {
    return d;
  }
  return CompareField("input", message, actual.input, expected.has_input(),
                      expected.input());
}

Difference ForwardResponseType::CompareAll(const MessageSlices& message,
                                           const Unchecked& actual,
                                           const Generated& expected) {
  if (auto d = CompareField("statistics", message, actual.statistics,
                            expected.has_statistics(), expected.statistics())) {
    return d;
  }
  return CompareField("output", message, actual.output, expected.has_output(),
                      expected.output());
}

Difference BackwardResponseType::CompareAll(const MessageSlices& message,
                                            const Unchecked& actual,
                                            const Generated& expected) {
  if (auto d =
          CompareField("grad_weight", message, actual.grad_weight,
                       expected.has_grad_weight(), expected.grad_weight())) {
    return d;
  }
  if (auto d = CompareField("grad_bias", message, actual.grad_bias,
                            expected.has_grad_bias(), expected.grad_bias())) {
    return d;
  }
  return CompareField("grad_input", message, actual.grad_input,
                      expected.has_grad_input(), expected.grad_input());
}

}  // namespace groupnorm
