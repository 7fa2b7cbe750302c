// Whole requests through the service without a network: from the bytes of a
// message to the response that the client decodes. Against the reference where
// the values are ones that docs/math.md promises an error bound for.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "kernels/reference/reference.h"
#include "server/execution.h"
#include "tensor/buffer_pool.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/operand_values.h"
#include "wire/client_messages.h"
#include "wire/request.h"

namespace groupnorm::fuzz {
namespace {

// Small, so that requests meet them.
constexpr RequestLimits kLimits = {.max_message_bytes = 16 << 10,
                                   .max_queued_bytes = 64 << 10};

// What the names below have for Forward and for Backward.
struct Forward {
  using Request = ForwardRequest;
  static constexpr auto kPrepare = &PrepareForward;
  static constexpr auto kDecodeRequest = &DecodeForwardRequest;
};
struct Backward {
  using Request = BackwardRequest;
  static constexpr auto kPrepare = &PrepareBackward;
  static constexpr auto kDecodeRequest = &DecodeBackwardRequest;
};

// The tasks of a phase in the order that `order` stands for; 0 is ascending.
std::vector<std::int64_t> TaskOrder(std::int64_t num_tasks,
                                    std::uint8_t order) {
  std::vector<std::int64_t> tasks(static_cast<std::size_t>(num_tasks));
  std::iota(tasks.begin(), tasks.end(), 0);
  if (order == 0) return tasks;
  std::mt19937 random(order);
  for (std::size_t i = tasks.size(); i > 1; --i) {
    std::swap(tasks[i - 1], tasks[random() % i]);
  }
  return tasks;
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  const MessageSlices slices(buffer);
  std::string bytes(slices.size(), '\0');
  slices.Copy({0, bytes.size()}, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

// Takes one request all the way; the bytes of the response.
template <typename Type>
absl::StatusOr<std::string> Serve(MessageSlices message, std::uint8_t order) {
  BufferPool pool(2 * kLimits.max_queued_bytes);
  int gathered = 0;
  std::optional<std::string> response;
  const absl::StatusOr<PreparedRequest> prepared =
      Type::kPrepare(std::move(message), kLimits);
  if (!prepared.ok()) return prepared.status();
  {
    const auto execution = prepared->begin(pool, [&gathered] { ++gathered; });
    for (std::int64_t p = 0; p < execution->num_phases(); ++p) {
      for (const auto task : TaskOrder(execution->num_tasks(p), order)) {
        execution->RunTask(p, task);
      }
    }
    response = BytesOf(execution->TakeResponse());
  }
  Require(gathered <= 1, "a message is let go of once");
  Require(response->size() <= kLimits.max_message_bytes,
          "a response is within --max-message-bytes");
  Require(
      static_cast<std::int64_t>(pool.idle_bytes()) <= prepared->memory_bytes,
      "a request takes no more memory than it says");
  Require(prepared->memory_bytes <= kLimits.max_queued_bytes,
          "a request says at most --max-queued-bytes");
  return *std::move(response);
}

// The refusal of a request that keeps the contract.
void RequireNamesLimit(const absl::Status& refusal) {
  const std::string text(refusal.message());
  Require(refusal.code() == absl::StatusCode::kResourceExhausted,
          "what keeps the contract is served or RESOURCE_EXHAUSTED");
  RequireSoundText(text);
  Require((absl::StartsWith(text, "response: needs ") &&
           absl::EndsWith(text, "(--max-message-bytes)")) ||
              (absl::StartsWith(text, "request: needs ") &&
               absl::EndsWith(text, "(--max-queued-bytes)")),
          "the refusal names the limit");
}

// A tensor of the response against its dtype, its shape and the reference.
void RequireRight(const char* name, const MessageSlices& response,
                  const ResponseTensor& tensor, DataType dtype,
                  const Shape& shape, const reference::Expected* expected) {
  RequireNone(tensor.dtype == dtype && tensor.shape == shape
                  ? std::nullopt
                  : std::optional<std::string>(name),
              "a result has the element type and the shape of the contract");
  if (expected == nullptr) return;
  const OwnedTensor owned(response, tensor);
  const reference::Comparison comparison =
      reference::Compare(*expected, owned.view());
  RequireNone(comparison.ok() ? std::nullopt
                              : std::optional(DescribeWrong(
                                    name, *expected, comparison, owned.view())),
              "a result is within its bound");
}

void CheckResponse(const ForwardRequest& request, const MessageSlices& message,
                   const MessageSlices& response) {
  const auto fields = DecodeForwardResponse(response);
  RequireNone(
      fields.ok() ? std::nullopt : std::optional(fields.status().ToString()),
      "the client decodes the response");
  const Operands operands(request, message);
  std::optional<reference::ForwardExpected> expected;
  if (operands.HaveBounds()) expected = reference::Forward(operands.Forward());
  const auto of = [&expected](auto member) {
    return expected.has_value() ? &(*expected.*member) : nullptr;
  };
  using Expected = reference::ForwardExpected;
  const Shape statistics = {request.geometry.batch,
                            request.geometry.num_groups};
  RequireRight("statistics.mean", response, fields->mean, DataType::kFloat64,
               statistics, of(&Expected::mean));
  RequireRight("statistics.rstd", response, fields->rstd, DataType::kFloat64,
               statistics, of(&Expected::rstd));
  RequireRight("output", response, fields->output, request.input.dtype,
               request.input.shape, of(&Expected::output));
}

void CheckResponse(const BackwardRequest& request, const MessageSlices& message,
                   const MessageSlices& response) {
  const auto fields = DecodeBackwardResponse(response);
  RequireNone(
      fields.ok() ? std::nullopt : std::optional(fields.status().ToString()),
      "the client decodes the response");
  const Operands operands(request, message);
  std::optional<reference::BackwardExpected> expected;
  if (operands.HaveBounds()) {
    expected = reference::Backward(operands.Backward());
  }
  const auto check = [&](const char* name, bool wanted,
                         const std::optional<ResponseTensor>& tensor,
                         DataType dtype, const Shape& shape, auto member) {
    RequireNone(tensor.has_value() == wanted ? std::nullopt
                                             : std::optional<std::string>(name),
                "the gradients are those that were asked for");
    if (!wanted) return;
    RequireRight(name, response, *tensor, dtype, shape,
                 expected.has_value() ? &(*expected.*member) : nullptr);
  };
  using Expected = reference::BackwardExpected;
  const GroupGeometry& geometry = request.geometry;
  const Shape parameter = request.per_sample_gradients
                              ? Shape{geometry.batch, geometry.channels}
                              : Shape{geometry.channels};
  const DataType parameter_dtype = request.parameter_gradient_dtype();
  check("grad_bias", request.want_grad_bias, fields->grad_bias, parameter_dtype,
        parameter, &Expected::grad_bias);
  check("grad_input", request.want_grad_input, fields->grad_input,
        request.input.dtype, request.input.shape, &Expected::grad_input);
  // Last, since the others keep their bounds anyway.
  if (expected.has_value() && !operands.HaveGradWeightBound()) expected.reset();
  check("grad_weight", request.want_grad_weight, fields->grad_weight,
        parameter_dtype, parameter, &Expected::grad_weight);
}

template <typename Type>
void Check(const FuzzInput& input) {
  const MessageSlices message = input.sliced();
  const auto request = Type::kDecodeRequest(message);
  const auto response = Serve<Type>(input.whole(), 0);
  const auto other = Serve<Type>(message, input.order);
  Require(response.status() == other.status(),
          "the verdict does not depend on the slices");
  if (!request.ok()) {
    Require(response.status() == request.status(),
            "what breaks the contract gets the codec's text");
    return;
  }
  if (!response.ok()) {
    RequireNamesLimit(response.status());
    return;
  }
  Require(*response == *other,
          "the bits depend neither on the slices nor on the order of tasks");
  const MessageSlices encoded(std::vector<grpc::Slice>{grpc::Slice(*response)});
  CheckResponse(*request, message, encoded);
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
