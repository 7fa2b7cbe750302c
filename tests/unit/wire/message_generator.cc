#include "message_generator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "wire_bytes.h"

namespace groupnorm {

namespace {

constexpr int kMaxDepth = 5;

const MessageSpec& TensorSpec() {
  static const MessageSpec kSpec{{{1, FieldSpec::kEnum},
                                  {2, FieldSpec::kVarintList},
                                  {15, FieldSpec::kBytes}}};
  return kSpec;
}

const MessageSpec& ConfigSpec() {
  static const MessageSpec kSpec{
      {{1, FieldSpec::kInt64}, {2, FieldSpec::kDouble}, {3, FieldSpec::kEnum}}};
  return kSpec;
}

FieldSpec TensorField(std::uint64_t number) {
  return {number, FieldSpec::kMessage, &TensorSpec()};
}

const MessageSpec& StatisticsSpec() {
  static const MessageSpec kSpec{{TensorField(1), TensorField(2)}};
  return kSpec;
}

FieldSpec ConfigField(std::uint64_t number) {
  return {number, FieldSpec::kMessage, &ConfigSpec()};
}

FieldSpec StatisticsField(std::uint64_t number) {
  return {number, FieldSpec::kMessage, &StatisticsSpec()};
}

}  // namespace

const MessageSpec& ForwardRequestSpec() {
  static const MessageSpec kSpec{{ConfigField(1), TensorField(2),
                                  TensorField(3), StatisticsField(4),
                                  TensorField(15)}};
  return kSpec;
}

const MessageSpec& BackwardRequestSpec() {
  static const MessageSpec kSpec{{ConfigField(1),
                                  TensorField(2),
                                  StatisticsField(3),
                                  {4, FieldSpec::kVarintList},
                                  {5, FieldSpec::kBool},
                                  {6, FieldSpec::kBool},
                                  TensorField(14),
                                  TensorField(15)}};
  return kSpec;
}

const MessageSpec& ForwardResponseSpec() {
  static const MessageSpec kSpec{{StatisticsField(1), TensorField(15)}};
  return kSpec;
}

const MessageSpec& BackwardResponseSpec() {
  static const MessageSpec kSpec{
      {TensorField(1), TensorField(2), TensorField(15)}};
  return kSpec;
}

std::string MessageGenerator::Message(const MessageSpec& spec) {
  std::string message = Body(spec, 0);
  return OneIn(3) ? Break(std::move(message)) : message;
}

std::vector<std::size_t> MessageGenerator::Cuts(std::size_t size) {
  std::vector<std::size_t> cuts(Below(8));
  for (std::size_t& cut : cuts) cut = Below(size + 1);
  std::ranges::sort(cuts);
  return cuts;
}

std::string MessageGenerator::Body(const MessageSpec& spec, int depth) {
  std::string body;
  const std::size_t num_fields = Below(depth == 0 ? 7 : 5);
  for (std::size_t i = 0; i < num_fields; ++i) {
    const FieldSpec& field = spec.fields[Below(spec.fields.size())];
    if (OneIn(12)) {
      body += UnknownField(OneIn(2) ? field.number : Number(), depth);
    } else if (OneIn(150)) {
      body += BrokenField();
    } else {
      body += Field(field, depth);
    }
  }
  return body;
}

std::string MessageGenerator::Field(const FieldSpec& field, int depth) {
  switch (field.kind) {
    case FieldSpec::kInt64:
    case FieldSpec::kEnum:
    case FieldSpec::kBool:
      return Tag(field.number, 0) + Varint(Value());
    case FieldSpec::kDouble: {
      constexpr std::array kDoubles = {
          0.0,    -0.0,
          1e-5,   -1.0,
          5e-324, std::numeric_limits<double>::quiet_NaN(),
          1e308,  std::numeric_limits<double>::infinity()};
      return Tag(field.number, 1) +
             wire_bytes::DoubleField(1, kDoubles[Below(kDoubles.size())])
                 .substr(1);
    }
    case FieldSpec::kBytes:
      return Delimited(field.number, Bytes(OneIn(20) ? Below(300) : Below(6)));
    case FieldSpec::kVarintList:
      return List(field.number);
    case FieldSpec::kMessage:
      break;
  }
  return Delimited(field.number, Body(*field.message, depth + 1));
}

std::string MessageGenerator::List(std::uint64_t number) {
  if (OneIn(2)) return Tag(number, 0) + Varint(Value());
  std::string values;
  // Seldom longer than the 16 extents that are kept.
  const std::size_t count = OneIn(10) ? Below(25) : Below(5);
  for (std::size_t i = 0; i < count; ++i) values += Varint(Value());
  return Delimited(number, values);
}

// Also a field that is known, but not with this wire type.
std::string MessageGenerator::UnknownField(std::uint64_t number, int depth) {
  switch (Below(6)) {
    case 0:
      return Tag(number, 0) + Varint(Value());
    case 1:
      return Tag(number, 1) + Bytes(8);
    case 2:
      return Delimited(number, Bytes(Below(5)));
    case 3:
      return Tag(number, 5) + Bytes(4);
    case 4: {
      if (!OneIn(4)) break;
      // Around the limit of open messages and groups.
      return wire_bytes::NestedGroups(number, static_cast<int>(95 + Below(9)));
    }
    default:
      break;
  }
  if (depth >= kMaxDepth) return {};
  constexpr std::array kSpecs = {&TensorSpec, &ConfigSpec, &StatisticsSpec};
  return Tag(number, 3) + Body(kSpecs[Below(kSpecs.size())](), depth + 1) +
         Tag(number, 4);
}

std::string MessageGenerator::Tag(std::uint64_t number, unsigned wire_type) {
  const std::uint64_t tag = number * 8 + wire_type;
  if (!OneIn(10)) return wire_bytes::Varint(tag);
  const auto length = static_cast<int>(wire_bytes::Varint(tag).size());
  // Too long by one byte.
  if (OneIn(10)) return wire_bytes::Varint(tag, 6 - length);
  if (OneIn(2)) {
    // Bits beyond the 32nd, which do not count.
    return wire_bytes::Varint(tag | (1 + Below(7)) << 32);
  }
  return wire_bytes::Varint(
      tag, static_cast<int>(Below(static_cast<std::size_t>(6 - length))));
}

std::string MessageGenerator::Varint(std::uint64_t value) {
  std::string bytes = wire_bytes::Varint(value);
  if (!OneIn(8)) return bytes;
  if (bytes.size() == 10) {
    bytes.back() = static_cast<char>(1 + Below(127));  // Dropped bits, but one.
    return bytes;
  }
  const std::size_t room = 10 - bytes.size();
  if (OneIn(20)) return wire_bytes::Varint(value, static_cast<int>(room) + 1);
  return wire_bytes::Varint(value, static_cast<int>(Below(room + 1)));
}

std::string MessageGenerator::Delimited(std::uint64_t number,
                                        const std::string& body) {
  std::uint64_t length = body.size();
  int padding = 0;
  if (OneIn(15)) padding = static_cast<int>(Below(4));
  if (OneIn(300)) padding = 5;
  if (OneIn(100)) length += Below(4) - 2;  // Also below zero: a huge length.
  if (OneIn(300)) length += std::uint64_t{1} << (31 + Below(5));
  return Tag(number, 2) + wire_bytes::Varint(length, padding) + body;
}

std::string MessageGenerator::Bytes(std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(Below(256));
  return bytes;
}

// Something that ends every message it stands in.
std::string MessageGenerator::BrokenField() {
  switch (Below(5)) {
    case 0:
      return wire_bytes::Tag(Number(), 4);  // Ends a group never begun.
    case 1:
      return wire_bytes::Tag(Number(), 3);  // Begins one never ended.
    case 2:
      return wire_bytes::Tag(0, static_cast<unsigned>(Below(8)),
                             static_cast<int>(Below(5)));
    case 3:
      return wire_bytes::Tag(Number(), static_cast<unsigned>(6 + Below(2)));
    default:
      return std::string(11, '\xff');
  }
}

std::uint64_t MessageGenerator::Value() {
  constexpr std::uint64_t kOne = 1;
  constexpr std::array<std::uint64_t, 14> kEdges = {0,
                                                    127,
                                                    128,
                                                    16383,
                                                    16384,
                                                    (kOne << 31) - 1,
                                                    kOne << 31,
                                                    kOne << 32,
                                                    (kOne << 32) + 1,
                                                    (kOne << 35) + 2,
                                                    kOne << 62,
                                                    (kOne << 63) - 1,
                                                    kOne << 63,
                                                    ~std::uint64_t{0}};
  if (OneIn(3)) return kEdges[Below(kEdges.size())];
  if (OneIn(20)) return random_();
  return Below(6);
}

std::uint64_t MessageGenerator::Number() {
  constexpr std::array<std::uint64_t, 8> kNumbers = {
      7, 13, 16, 31, 2047, 2048, 19000, (1 << 29) - 1};
  return OneIn(2) ? 1 + Below(20) : kNumbers[Below(kNumbers.size())];
}

std::string MessageGenerator::Break(std::string message) {
  if (message.empty()) return BrokenField();
  const std::size_t at = Below(message.size());
  switch (Below(6)) {
    case 0:
      message.resize(at);
      break;
    case 1:
      message.erase(at, 1);
      break;
    case 2:
      message.insert(at, 1, static_cast<char>(Below(256)));
      break;
    case 3:
      message[at] = static_cast<char>(Below(256));
      break;
    case 4:
      message[at] = static_cast<char>(message[at] ^ 1 << Below(8));
      break;
    default:
      message.insert(at, BrokenField());
  }
  return message;
}

}  // namespace groupnorm
