#ifndef GROUPNORM_TESTS_UNIT_WIRE_PARSER_ORACLE_H_
#define GROUPNORM_TESTS_UNIT_WIRE_PARSER_ORACLE_H_

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "message_generator.h"
#include "wire/message_slices.h"
#include "wire/unchecked_messages.h"

/// The generated C++ parser as the judge of the codec's first stage.
namespace groupnorm {

/// The first difference between two messages, or nothing.
using Difference = std::optional<std::string>;

/// One type of message: what the codec, protobuf and the generator call it.
struct ForwardRequestType {
  using Unchecked = UncheckedForwardRequest;
  using Generated = v1::ForwardRequest;
  static const MessageSpec& Spec() { return ForwardRequestSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected);
};

struct BackwardRequestType {
  using Unchecked = UncheckedBackwardRequest;
  using Generated = v1::BackwardRequest;
  static const MessageSpec& Spec() { return BackwardRequestSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected);
};

struct ForwardResponseType {
  using Unchecked = UncheckedForwardResponse;
  using Generated = v1::ForwardResponse;
  static const MessageSpec& Spec() { return ForwardResponseSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected);
};

struct BackwardResponseType {
  using Unchecked = UncheckedBackwardResponse;
  using Generated = v1::BackwardResponse;
  static const MessageSpec& Spec() { return BackwardResponseSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected);
};

/// What protobuf says of some bytes.
template <typename Type>
struct Oracle {
  explicit Oracle(const std::string& bytes)
      : valid(message.ParseFromArray(bytes.data(),
                                     static_cast<int>(bytes.size()))) {}

  typename Type::Generated message;
  bool valid;
};

/// Whether both ways into protobuf's parser agree: from flat memory, as the
/// oracle does, and from a stream of blocks, as gRPC does with its slices.
template <typename Type>
bool StreamAgrees(const Oracle<Type>& oracle, const std::string& bytes,
                  int block_size) {
  google::protobuf::io::ArrayInputStream stream(
      bytes.data(), static_cast<int>(bytes.size()), block_size);
  typename Type::Generated message;
  if (message.ParseFromZeroCopyStream(&stream) != oracle.valid) return false;
  return !oracle.valid ||
         message.SerializeAsString() == oracle.message.SerializeAsString();
}

/// The first difference between the codec and the oracle on a sliced message.
template <typename Type>
Difference CompareWith(const Oracle<Type>& oracle,
                       const MessageSlices& message) {
  typename Type::Unchecked actual;
  const std::optional<std::size_t> failure = ReadMessage(message, actual);
  if (failure.has_value() == oracle.valid) {
    return failure.has_value()
               ? absl::StrCat("refused at byte ", *failure, ", not by protobuf")
               : "accepted, but protobuf refuses";
  }
  if (failure.has_value()) {
    if (*failure <= message.size()) return std::nullopt;
    return absl::StrCat("refused at byte ", *failure, " of ", message.size());
  }
  return Type::CompareAll(message, actual, oracle.message);
}

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_WIRE_PARSER_ORACLE_H_
