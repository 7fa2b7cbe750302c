#include "wire/message_writer.h"

#include <bit>
#include <cstring>
#include <limits>

#include "wire/wire_reader.h"

namespace groupnorm {

namespace {

constexpr std::int64_t kTagBytes = 1;

std::int64_t VarintBytes(std::uint64_t value) {
  return static_cast<std::int64_t>(std::bit_width(value | 1) + 6) / 7;
}

std::int64_t ExtentsBytes(const Shape& shape) {
  std::int64_t bytes = 0;
  for (const std::int64_t extent : shape.extents()) {
    bytes += VarintBytes(static_cast<std::uint64_t>(extent));
  }
  return bytes;
}

}  // namespace

std::int64_t SaturatingSum(std::int64_t a, std::int64_t b) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  return a > kMax - b ? kMax : a + b;
}

std::int64_t VarintFieldBytes(std::uint64_t value) {
  return value == 0 ? 0 : kTagBytes + VarintBytes(value);
}

std::int64_t DelimitedFieldBytes(std::int64_t body_bytes) {
  return SaturatingSum(
      kTagBytes + VarintBytes(static_cast<std::uint64_t>(body_bytes)),
      body_bytes);
}

std::int64_t TensorBytes(const TensorView& tensor) {
  std::int64_t bytes =
      VarintFieldBytes(static_cast<std::uint64_t>(tensor.dtype));
  if (tensor.shape.rank() > 0) {
    bytes += DelimitedFieldBytes(ExtentsBytes(tensor.shape));
  }
  if (const auto size = static_cast<std::int64_t>(tensor.size_bytes());
      size > 0) {
    bytes = SaturatingSum(bytes, DelimitedFieldBytes(size));
  }
  return bytes;
}

std::int64_t TensorFieldBytes(const std::optional<TensorView>& tensor) {
  return tensor.has_value() ? DelimitedFieldBytes(TensorBytes(*tensor)) : 0;
}

void MessageWriter::VarintField(std::uint32_t field, std::uint64_t value) {
  if (value == 0) return;
  Varint(WireTag(field, WireType::kVarint));
  Varint(value);
}

void MessageWriter::Fixed64Field(std::uint32_t field, std::uint64_t value) {
  Varint(WireTag(field, WireType::kFixed64));
  for (int shift = 0; shift < 64; shift += 8) {
    *cursor_++ = static_cast<std::byte>(value >> shift & 0xff);
  }
}

void MessageWriter::DelimitedHeader(std::uint32_t field,
                                    std::int64_t body_bytes) {
  Varint(WireTag(field, WireType::kLengthDelimited));
  Varint(static_cast<std::uint64_t>(body_bytes));
}

void MessageWriter::TensorHeader(std::uint32_t field,
                                 const TensorView& tensor) {
  DelimitedHeader(field, TensorBytes(tensor));
  VarintField(1, static_cast<std::uint64_t>(tensor.dtype));
  if (tensor.shape.rank() > 0) {
    DelimitedHeader(2, ExtentsBytes(tensor.shape));
    for (const std::int64_t extent : tensor.shape.extents()) {
      Varint(static_cast<std::uint64_t>(extent));
    }
  }
  if (const auto size = static_cast<std::int64_t>(tensor.size_bytes());
      size > 0) {
    DelimitedHeader(15, size);
  }
}

void MessageWriter::TensorField(std::uint32_t field,
                                const std::optional<TensorView>& tensor) {
  if (!tensor.has_value()) return;
  TensorHeader(field, *tensor);
  if (const std::size_t size = tensor->size_bytes(); size > 0) {
    std::memcpy(cursor_, tensor->data, size);
    cursor_ += size;
  }
}

void MessageWriter::Varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    *cursor_++ = static_cast<std::byte>((value & 0x7f) | 0x80);
  }
  *cursor_++ = static_cast<std::byte>(value);
}

}  // namespace groupnorm
