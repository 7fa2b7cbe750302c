#include "wire/wire_reader.h"

#include <algorithm>
#include <array>
#include <limits>

namespace groupnorm {

namespace {

constexpr int kMaxVarintBytes = 10;

// Tags and lengths of more bytes are refused, even where the further ones are
// zeros.
constexpr int kMaxTagBytes = 5;
constexpr int kMaxLengthBytes = 5;

// protobuf keeps 16 bytes below INT_MAX for its own look-ahead.
constexpr std::uint64_t kMaxLength =
    std::numeric_limits<std::int32_t>::max() - 16;

// Messages and groups that may be open within the outermost message.
constexpr int kMaxDepth = 100;

WireType TypeOf(std::uint32_t tag) { return static_cast<WireType>(tag % 8); }

}  // namespace

WireReader::WireReader(const MessageSlices& message)
    : message_(message), end_(message.size()) {}

std::optional<std::uint32_t> WireReader::NextTag() {
  if (position_ == end_) return std::nullopt;
  const std::uint32_t tag = ReadTag();
  // A group ends where it is skipped, so this one was never opened.
  if (TypeOf(tag) == WireType::kEndGroup) Fail(last_tag_);
  if (!ok()) return std::nullopt;
  return tag;
}

std::uint64_t WireReader::ReadVarint() { return ReadVarint(kMaxVarintBytes); }

std::uint64_t WireReader::ReadFixed64() {
  if (end_ - position_ < 8) {
    Fail(position_);
    return 0;
  }
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 8) {
    value |= std::to_integer<std::uint64_t>(NextByte()) << shift;
  }
  return value;
}

PayloadRange WireReader::ReadBytes() {
  const std::size_t size = ReadLength();
  const PayloadRange range{position_, size};
  SkipBytes(size);
  return range;
}

void WireReader::Skip(std::uint32_t tag) {
  switch (TypeOf(tag)) {
    case WireType::kVarint:
      ReadVarint();
      return;
    case WireType::kFixed64:
      SkipBytes(8);
      return;
    case WireType::kLengthDelimited:
      SkipBytes(ReadLength());
      return;
    case WireType::kStartGroup:
      SkipGroup(tag);
      return;
    case WireType::kFixed32:
      SkipBytes(4);
      return;
    case WireType::kEndGroup:
      break;
  }
  Fail(last_tag_);
}

// The stack of open groups is explicit, so that a hostile message costs no deep
// recursion.
void WireReader::SkipGroup(std::uint32_t start_tag) {
  std::array<std::uint32_t, kMaxDepth> open_fields;
  std::size_t num_open = 0;
  for (std::uint32_t tag = start_tag;; tag = ReadTag()) {
    if (!ok()) return;
    if (TypeOf(tag) == WireType::kStartGroup) {
      CheckDepth(depth_ + static_cast<int>(num_open) + 1);
      if (!ok()) return;
      open_fields[num_open++] = tag / 8;
    } else if (TypeOf(tag) == WireType::kEndGroup) {
      if (tag / 8 != open_fields[num_open - 1]) Fail(last_tag_);
      if (--num_open == 0) return;
    } else {
      Skip(tag);
    }
  }
}

// Precondition of a tag at the end of a group's message: there is none, which
// is a failure, since the group was not closed.
std::uint32_t WireReader::ReadTag() {
  last_tag_ = position_;
  // Bits beyond the 32nd are dropped.
  const auto tag = static_cast<std::uint32_t>(ReadVarint(kMaxTagBytes));
  if (tag / 8 == 0 || tag % 8 > 5) Fail(last_tag_);
  return tag;
}

std::uint64_t WireReader::ReadVarint(int max_bytes) {
  const std::size_t start = position_;
  std::uint64_t value = 0;
  for (int i = 0; i < max_bytes && position_ < end_; ++i) {
    const auto byte = std::to_integer<std::uint64_t>(NextByte());
    // Bits beyond the 64th are dropped.
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  Fail(start);
  return 0;
}

std::size_t WireReader::ReadLength() {
  const std::size_t start = position_;
  const std::uint64_t length = ReadVarint(kMaxLengthBytes);
  if (length > kMaxLength || length > end_ - position_) {
    Fail(start);
    return 0;
  }
  return static_cast<std::size_t>(length);
}

void WireReader::SkipBytes(std::size_t count) {
  if (count > end_ - position_) {
    Fail(position_);
    return;
  }
  position_ += count;
  while (count > static_cast<std::size_t>(slice_end_ - cursor_)) {
    count -= static_cast<std::size_t>(slice_end_ - cursor_);
    NextSlice();
  }
  cursor_ += count;
}

// Precondition: position_ < end_.
std::byte WireReader::NextByte() {
  while (cursor_ == slice_end_) NextSlice();
  ++position_;
  return *cursor_++;
}

void WireReader::NextSlice() {
  const std::span<const std::byte> slice = message_.slice(next_slice_++);
  cursor_ = slice.data();
  slice_end_ = cursor_ + slice.size();
}

std::size_t WireReader::EnterLimit() {
  const std::size_t length = ReadLength();
  const std::size_t outer_end = end_;
  end_ = position_ + length;
  return outer_end;
}

void WireReader::LeaveLimit(std::size_t outer_end) {
  if (ok()) end_ = outer_end;
}

void WireReader::CheckDepth(int depth) {
  if (depth > kMaxDepth) Fail(last_tag_);
}

void WireReader::Fail(std::size_t position) {
  if (!ok()) return;
  failure_ = position;
  end_ = position_;  // Nothing more to read.
}

}  // namespace groupnorm
