#include "tests/load/malformed_calls.h"

#include <array>
#include <limits>
#include <optional>

#include "groupnorm/v1/groupnorm.pb.h"
#include "tests/fuzz/contract_oracle.h"
#include "tests/testing/messages.h"

namespace groupnorm::load {

namespace {

// The places in a kind's turn; the first five are ways to break one message.
enum Kind { kCutOff, kLength, kShape, kType, kBytes, kTwo, kNone, kTooLarge };
constexpr int kNumKinds = kTooLarge + 1;
constexpr int kNumBroken = kBytes + 1;

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

template <typename Request>
std::optional<std::string> TextStart(const std::string& method,
                                     const std::string& message) {
  Request request;
  if (!request.ParseFromString(message)) {
    return "request: not a valid " + method + "Request at byte ";
  }
  const std::string fault = fuzz::FirstFault(request);
  if (fault.empty()) return std::nullopt;
  return fault + ": ";
}

// How the refusal of a message begins; nothing where it keeps the contract.
std::optional<std::string> TextStartOf(const std::string& method,
                                       const std::string& message) {
  return method == "Forward" ? TextStart<v1::ForwardRequest>(method, message)
                             : TextStart<v1::BackwardRequest>(method, message);
}

// Passes one of the tensors of a good request to `change`.
template <typename Request, typename Change>
std::string Changed(Request request, std::size_t which, Change change) {
  change(which == 0 ? request.mutable_weight() : request.mutable_input());
  return request.SerializeAsString();
}

template <typename Change>
std::string ChangedTensor(const std::string& method, std::size_t which,
                          Change change) {
  return method == "Forward" ? Changed(SmallForwardRequest(), which, change)
                             : Changed(SmallBackwardRequest(), which, change);
}

}  // namespace

MalformedCall MalformedCalls::Next() {
  const int kind = count_++ % kNumKinds;
  MalformedCall call;
  call.method = Below(2) == 0 ? "Forward" : "Backward";
  if (kind == kNone) {
    call.text_start = "request: missing, expected a " + call.method + "Request";
    return call;
  }
  if (kind == kTooLarge) {
    v1::ForwardRequest request;
    request.mutable_config()->set_num_groups(1);
    *request.mutable_input() =
        TensorWithoutData(DataType::kFloat32, {kHuge, 1, 0});
    call.method = "Forward";
    call.messages = {request.SerializeAsString()};
    call.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
    call.text_start = "response: needs ";
    return call;
  }
  std::optional<std::string> text_start;
  std::string message;
  while (!text_start.has_value()) {  // A change may leave a good request.
    message = Broken(call.method,
                     kind == kTwo ? static_cast<int>(Below(kNumBroken)) : kind);
    text_start = TextStartOf(call.method, message);
  }
  call.messages = {message};
  if (kind == kTwo) call.messages.push_back(GoodMessage(call.method));
  call.text_start = *text_start;
  return call;
}

std::string MalformedCalls::GoodMessage(const std::string& method) {
  return method == "Forward" ? SmallForwardRequest().SerializeAsString()
                             : SmallBackwardRequest().SerializeAsString();
}

std::string MalformedCalls::Broken(const std::string& method, int kind) {
  switch (kind) {
    case kCutOff:
      return CutOff(GoodMessage(method));
    case kLength:
      return WithWrongLength(GoodMessage(method));
    case kShape:
      return WithOverflowingShape(method);
    case kType:
      return OfWrongType(method);
    default:
      return RandomBytes();
  }
}

std::string MalformedCalls::CutOff(std::string message) {
  message.resize(Below(message.size()));
  return message;
}

// Lengths, tags and extents are the bytes before and between the elements; any
// of them may be hit.
std::string MalformedCalls::WithWrongLength(std::string message) {
  char& byte = message[Below(message.size())];
  byte = static_cast<char>(byte + 1 + static_cast<int>(Below(255)));
  return message;
}

std::string MalformedCalls::WithOverflowingShape(const std::string& method) {
  constexpr std::array kExtents = {std::numeric_limits<std::int64_t>::max(),
                                   std::numeric_limits<std::int64_t>::min(),
                                   std::int64_t{-1},
                                   std::int64_t{1} << 32,
                                   (std::int64_t{1} << 62) + 1,
                                   kHuge};
  return ChangedTensor(method, Below(2), [this, &kExtents](v1::Tensor* tensor) {
    const std::size_t rank = Below(20);
    for (std::size_t i = 0; i < rank; ++i) {
      tensor->add_shape(kExtents[Below(kExtents.size())]);
    }
  });
}

std::string MalformedCalls::OfWrongType(const std::string& method) {
  return ChangedTensor(method, Below(2), [this](v1::Tensor* tensor) {
    tensor->set_dtype(static_cast<v1::DataType>(Below(100)));
  });
}

std::string MalformedCalls::RandomBytes() {
  std::string bytes(1 + Below(2000), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random_());
  return bytes;
}

}  // namespace groupnorm::load
