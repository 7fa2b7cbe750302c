#ifndef GROUPNORM_WIRE_MESSAGE_WRITER_H_
#define GROUPNORM_WIRE_MESSAGE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "groupnorm/tensor_view.h"

/// Encoding, in two steps: sizes first, then bytes into memory of that size.
/// Fields that hold proto3's default value are left out, as protobuf does.
/// Every field number is below 16, so that every tag is one byte.
namespace groupnorm {

/// a + b; INT64_MAX where that would overflow. Precondition: neither is
/// negative.
std::int64_t SaturatingSum(std::int64_t a, std::int64_t b);

/// Bytes of a field, tag included: 0 where the value is the default.
std::int64_t VarintFieldBytes(std::uint64_t value);

/// Bytes of a sub-message, or of a bytes field, with tag and length. Saturates.
std::int64_t DelimitedFieldBytes(std::int64_t body_bytes);

/// Bytes of a Tensor message, without its tag and length. Saturates.
std::int64_t TensorBytes(const TensorView& tensor);

/// Bytes of a tensor's field, or 0 where there is no tensor. Saturates.
std::int64_t TensorFieldBytes(const std::optional<TensorView>& tensor);

/// Writes fields to memory that the caller has measured with the functions
/// above.
class MessageWriter {
 public:
  explicit MessageWriter(std::byte* destination) : cursor_(destination) {}

  /// Leaves the field out where `value` is 0.
  void VarintField(std::uint32_t field, std::uint64_t value);

  void Fixed64Field(std::uint32_t field, std::uint64_t value);

  /// The tag and the length of what is written next.
  void DelimitedHeader(std::uint32_t field, std::int64_t body_bytes);

  /// A tensor up to where its elements follow.
  void TensorHeader(std::uint32_t field, const TensorView& tensor);

  /// A tensor with its elements; nothing where there is no tensor.
  void TensorField(std::uint32_t field,
                   const std::optional<TensorView>& tensor);

  /// A bare value, as in a packed list.
  void Varint(std::uint64_t value);

 private:
  std::byte* cursor_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_MESSAGE_WRITER_H_
