// The codec's verdict on requests, and what it makes of accepted ones: against
// the contract's rules on what protobuf parsed, and back through the client's
// encoder.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "tests/fuzz/contract_oracle.h"
#include "tests/fuzz/fuzz_input.h"
#include "wire/client_messages.h"
#include "wire/request.h"

namespace groupnorm::fuzz {
namespace {

std::string FlatBytes(const grpc::ByteBuffer& buffer) {
  const MessageSlices slices(buffer);
  std::string bytes(slices.size(), '\0');
  slices.Copy({0, bytes.size()}, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

// Copies of a message's tensors, which views point into.
class Tensors {
 public:
  explicit Tensors(const MessageSlices& message) : message_(message) {}

  TensorView View(const TensorPayload& payload) {
    Require(payload.data.offset + payload.data.size <= message_.size(),
            "a tensor lies within its message");
    copies_.push_back(
        std::make_unique<std::vector<std::byte>>(payload.data.size));
    message_.Copy(payload.data, copies_.back()->data());
    return {payload.dtype, payload.shape, copies_.back()->data()};
  }

  std::optional<TensorView> View(const std::optional<TensorPayload>& payload) {
    if (!payload.has_value()) return std::nullopt;
    return View(*payload);
  }

 private:
  const MessageSlices& message_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> copies_;
};

template <typename Fields, typename Request>
Fields CommonFields(const Request& request, Tensors& tensors) {
  Fields fields;
  fields.num_groups = request.geometry.num_groups;
  fields.epsilon = request.epsilon;
  fields.layout = request.geometry.layout;
  fields.weight = tensors.View(request.weight);
  if (request.statistics.has_value()) {
    fields.mean = tensors.View(request.statistics->mean);
    fields.rstd = tensors.View(request.statistics->rstd);
  }
  fields.input = tensors.View(request.input);
  return fields;
}

// The names that Forward and Backward have for the same.
struct Forward {
  using Generated = v1::ForwardRequest;
  static constexpr const char* kName = "ForwardRequest";
  static auto Decode(const MessageSlices& message) {
    return DecodeForwardRequest(message);
  }
  static std::string Encode(const ForwardRequest& request, Tensors& tensors) {
    auto fields = CommonFields<ForwardRequestFields>(request, tensors);
    fields.bias = tensors.View(request.bias);
    return FlatBytes(EncodeForwardRequest(fields));
  }
  static void MakeCanonical(v1::ForwardRequest& /*request*/) {}
};

struct Backward {
  using Generated = v1::BackwardRequest;
  static constexpr const char* kName = "BackwardRequest";
  static auto Decode(const MessageSlices& message) {
    return DecodeBackwardRequest(message);
  }
  static std::string Encode(const BackwardRequest& request, Tensors& tensors) {
    auto fields = CommonFields<BackwardRequestFields>(request, tensors);
    fields.want_grad_input = request.want_grad_input;
    fields.want_grad_weight = request.want_grad_weight;
    fields.want_grad_bias = request.want_grad_bias;
    fields.frozen_statistics = request.frozen_statistics;
    fields.per_sample_gradients = request.per_sample_gradients;
    fields.grad_output = tensors.View(request.grad_output);
    return FlatBytes(EncodeBackwardRequest(fields));
  }
  static void MakeCanonical(v1::BackwardRequest& request) {
    std::set<int> wanted(request.gradients().begin(),
                         request.gradients().end());
    if (wanted.empty()) wanted = {1, 2, 3};
    request.clear_gradients();
    for (const int gradient : wanted) {
      request.add_gradients(static_cast<v1::Gradient>(gradient));
    }
  }
};

// The same request in one form: unset is what it means.
template <typename Type>
std::string Canonical(typename Type::Generated request) {
  request.DiscardUnknownFields();
  v1::GroupNormConfig& config = *request.mutable_config();
  if (!config.has_epsilon()) config.set_epsilon(1e-5);
  if (config.layout() == v1::LAYOUT_UNSPECIFIED) {
    config.set_layout(v1::LAYOUT_CHANNELS_FIRST);
  }
  Type::MakeCanonical(request);
  return request.SerializeAsString();
}

template <typename Type>
void RequireSameAfterEncoding(const FuzzInput& input,
                              const typename Type::Generated& parsed) {
  const MessageSlices sliced = input.sliced();
  Tensors tensors(sliced);
  const auto decoded = Type::Decode(sliced);
  typename Type::Generated encoded;
  Require(encoded.ParseFromString(Type::Encode(*decoded, tensors)),
          "the client's encoding is a message");
  Require(Canonical<Type>(encoded) == Canonical<Type>(parsed),
          "the client's encoding of what was decoded is the same request");
}

template <typename Type>
void Check(const FuzzInput& input) {
  typename Type::Generated parsed;
  const bool valid = parsed.ParseFromString(input.message);
  const absl::Status verdict = Type::Decode(input.whole()).status();
  Require(verdict == Type::Decode(input.sliced()).status(),
          "the verdict does not depend on the slices");
  const std::string fault = valid ? FirstFault(parsed) : "request";
  if (fault.empty()) {
    RequireNone(verdict.ok() ? std::nullopt : std::optional(verdict.ToString()),
                "a request that keeps the contract is accepted");
    RequireSameAfterEncoding<Type>(input, parsed);
    return;
  }
  const std::string text(verdict.message());
  Require(verdict.code() == absl::StatusCode::kInvalidArgument,
          "what breaks the contract is INVALID_ARGUMENT");
  RequireSoundText(text);
  const std::string start =
      valid ? fault + ": "
            : absl::StrCat("request: not a valid ", Type::kName, " at byte ");
  RequireNone(absl::StartsWith(text, start)
                  ? std::nullopt
                  : std::optional(text + "\nexpected " + start),
              "the text begins with the path of the first fault");
}

}  // namespace
}  // namespace groupnorm::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace groupnorm::fuzz;  // NOLINT(google-build-using-namespace)
  const FuzzInput input(data, size);
  if (input.type % 2 == 0) {
    Check<Forward>(input);
  } else {
    Check<Backward>(input);
  }
  return 0;
}
