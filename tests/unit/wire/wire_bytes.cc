#include "wire_bytes.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace groupnorm::wire_bytes {

namespace {

std::string LittleEndian(std::uint64_t value, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i) {
    result.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
  return result;
}

}  // namespace

std::string Varint(std::uint64_t value, int padding) {
  std::string result;
  while (value >= 0x80 || padding > 0) {
    if (value < 0x80) --padding;
    result.push_back(static_cast<char>(value % 0x80 + 0x80));
    value /= 0x80;
  }
  result.push_back(static_cast<char>(value));
  return result;
}

std::string Tag(std::uint64_t field, unsigned wire_type, int padding) {
  return Varint(field * 8 + wire_type, padding);
}

std::string VarintField(std::uint64_t field, std::uint64_t value) {
  return Tag(field, 0) + Varint(value);
}

std::string Fixed32Field(std::uint64_t field, std::uint32_t value) {
  return Tag(field, 5) + LittleEndian(value, 4);
}

std::string Fixed64Field(std::uint64_t field, std::uint64_t value) {
  return Tag(field, 1) + LittleEndian(value, 8);
}

std::string DoubleField(std::uint64_t field, double value) {
  return Fixed64Field(field, std::bit_cast<std::uint64_t>(value));
}

std::string Delimited(std::uint64_t field, const std::string& body) {
  return Tag(field, 2) + Varint(body.size()) + body;
}

std::string Group(std::uint64_t field, const std::string& body) {
  return Tag(field, 3) + body + Tag(field, 4);
}

std::string NestedGroups(std::uint64_t field, int depth) {
  std::string result;
  for (int i = 0; i < depth; ++i) result += Tag(field, 3);
  for (int i = 0; i < depth; ++i) result += Tag(field, 4);
  return result;
}

std::string Packed(std::uint64_t field,
                   std::initializer_list<std::int64_t> values) {
  std::string body;
  for (const std::int64_t value : values) {
    body += Varint(static_cast<std::uint64_t>(value));
  }
  return Delimited(field, body);
}

std::string Tensor(std::uint64_t dtype,
                   std::initializer_list<std::int64_t> extents,
                   std::size_t data_bytes) {
  return VarintField(1, dtype) + Packed(2, extents) +
         Delimited(15, std::string(data_bytes, '\0'));
}

MessageSlices Sliced(const std::string& bytes, std::size_t slice_size) {
  std::vector<std::size_t> offsets;
  for (std::size_t at = slice_size; at < bytes.size(); at += slice_size) {
    offsets.push_back(at);
  }
  return CutAt(bytes, offsets);
}

MessageSlices Whole(const std::string& bytes) { return CutAt(bytes, {}); }

MessageSlices CutAt(const std::string& bytes,
                    const std::vector<std::size_t>& offsets) {
  std::vector<grpc::Slice> slices;
  std::size_t start = 0;
  const auto add = [&](std::size_t end) {
    slices.emplace_back(bytes.data() + start, end - start);
    start = end;
  };
  for (const std::size_t offset : offsets) add(offset);
  add(bytes.size());
  return MessageSlices(std::move(slices));
}

}  // namespace groupnorm::wire_bytes
