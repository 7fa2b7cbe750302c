// What the client makes of a server's bytes, whatever they are: a response
// whose tensors are consistent, or INTERNAL.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "tests/fuzz/fuzz_input.h"
#include "wire/client_messages.h"

namespace groupnorm::fuzz {
namespace {

void RequireConsistent(const ResponseTensor& tensor, std::size_t size) {
  Require(tensor.data.offset + tensor.data.size <= size,
          "a tensor lies within its message");
  Require(tensor.data.size ==
              static_cast<std::size_t>(tensor.shape.num_elements()) *
                  ElementSize(tensor.dtype),
          "a tensor has the bytes of its shape");
}

void RequireConsistent(const std::optional<ResponseTensor>& tensor,
                       std::size_t size) {
  if (tensor.has_value()) RequireConsistent(*tensor, size);
}

void RequireSame(const ResponseTensor& a, const ResponseTensor& b) {
  Require(a.dtype == b.dtype && a.shape == b.shape && a.data == b.data,
          "the tensors do not depend on the slices");
}

void RequireSame(const std::optional<ResponseTensor>& a,
                 const std::optional<ResponseTensor>& b) {
  Require(a.has_value() == b.has_value(),
          "which tensors there are does not depend on the slices");
  if (a.has_value()) RequireSame(*a, *b);
}

// Whether both ways are accepted; they have to agree.
template <typename Fields>
bool SameVerdict(const absl::StatusOr<Fields>& whole,
                 const absl::StatusOr<Fields>& sliced) {
  Require(whole.status() == sliced.status(),
          "the verdict does not depend on the slices");
  if (whole.ok()) return true;
  Require(whole.status().code() == absl::StatusCode::kInternal,
          "a broken response is INTERNAL");
  RequireSoundText(
      {whole.status().message().data(), whole.status().message().size()});
  return false;
}

void CheckForward(const FuzzInput& input) {
  const auto whole = DecodeForwardResponse(input.whole());
  const auto sliced = DecodeForwardResponse(input.sliced());
  if (!SameVerdict(whole, sliced)) return;
  RequireSame(whole->mean, sliced->mean);
  RequireSame(whole->rstd, sliced->rstd);
  RequireSame(whole->output, sliced->output);
  for (const ResponseTensor* tensor :
       {&whole->mean, &whole->rstd, &whole->output}) {
    RequireConsistent(*tensor, input.message.size());
  }
  Require(whole->mean.dtype == DataType::kFloat64 &&
              whole->rstd.dtype == DataType::kFloat64,
          "statistics are FLOAT64");
}

void CheckBackward(const FuzzInput& input) {
  const auto whole = DecodeBackwardResponse(input.whole());
  const auto sliced = DecodeBackwardResponse(input.sliced());
  if (!SameVerdict(whole, sliced)) return;
  RequireSame(whole->grad_weight, sliced->grad_weight);
  RequireSame(whole->grad_bias, sliced->grad_bias);
  RequireSame(whole->grad_input, sliced->grad_input);
  RequireConsistent(whole->grad_weight, input.message.size());
  RequireConsistent(whole->grad_bias, input.message.size());
  RequireConsistent(whole->grad_input, input.message.size());
}

}  // namespace
}  // namespace groupnorm::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace groupnorm::fuzz;  // NOLINT(google-build-using-namespace)
  const FuzzInput input(data, size);
  if (input.type % 2 == 0) {
    CheckForward(input);
  } else {
    CheckBackward(input);
  }
  return 0;
}
