// Holds the codec's first stage against the generated C++ parser: the same
// verdict and the same values for every message, however it is sliced.

#include "parser_oracle.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/escaping.h"
#include "wire/request.h"
#include "wire_bytes.h"

namespace groupnorm {
namespace {

// Nothing in them allocates, so a message's length cannot cost memory.
static_assert(std::is_trivially_copyable_v<UncheckedForwardRequest>);
static_assert(std::is_trivially_copyable_v<UncheckedBackwardRequest>);

constexpr int kMessagesOfEachType = 30'000;

std::string Describe(const std::string& bytes) {
  return absl::CHexEscape(bytes.substr(0, 400));
}

template <typename Type>
class ParserOracle : public ::testing::Test {};

using MessageTypes =
    ::testing::Types<ForwardRequestType, BackwardRequestType,
                     ForwardResponseType, BackwardResponseType>;
TYPED_TEST_SUITE(ParserOracle, MessageTypes);

TYPED_TEST(ParserOracle, AgreesOnRandomMessagesHoweverSliced) {
  MessageGenerator generator(20220101);
  int valid = 0;
  for (int i = 0; i < kMessagesOfEachType; ++i) {
    const std::string bytes = generator.Message(TypeParam::Spec());
    const Oracle<TypeParam> oracle(bytes);
    valid += oracle.valid;
    ASSERT_TRUE(
        StreamAgrees(oracle, bytes, static_cast<int>(1 + generator.Below(40))))
        << Describe(bytes);
    ASSERT_EQ(CompareWith(oracle, wire_bytes::Whole(bytes)), std::nullopt)
        << Describe(bytes);
    ASSERT_EQ(CompareWith(oracle, wire_bytes::Sliced(bytes, 1)), std::nullopt)
        << Describe(bytes);
    for (int slicing = 0; slicing < 3; ++slicing) {
      const auto cuts = generator.Cuts(bytes.size());
      ASSERT_EQ(CompareWith(oracle, wire_bytes::CutAt(bytes, cuts)),
                std::nullopt)
          << Describe(bytes);
    }
  }
  // The generator must keep giving both verdicts their share.
  EXPECT_GT(valid, kMessagesOfEachType * 2 / 5);
  EXPECT_LT(valid, kMessagesOfEachType * 3 / 5);
}

TYPED_TEST(ParserOracle, AgreesOnEverySliceSizeOfSmallMessages) {
  MessageGenerator generator(20220102);
  for (int i = 0; i < 1'000; ++i) {
    const std::string bytes = generator.Message(TypeParam::Spec());
    if (bytes.size() > 200) continue;
    const Oracle<TypeParam> oracle(bytes);
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
      ASSERT_EQ(CompareWith(oracle, wire_bytes::Sliced(bytes, size)),
                std::nullopt)
          << "slices of " << size << ": " << Describe(bytes);
    }
  }
}

TYPED_TEST(ParserOracle, AgreesOnMessagesCutOffAtEveryByte) {
  MessageGenerator generator(20220103);
  for (int i = 0; i < 1'000; ++i) {
    const std::string bytes = generator.Message(TypeParam::Spec());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const std::string prefix = bytes.substr(0, size);
      ASSERT_EQ(
          CompareWith(Oracle<TypeParam>(prefix), wire_bytes::Whole(prefix)),
          std::nullopt)
          << Describe(prefix);
    }
  }
}

TYPED_TEST(ParserOracle, AgreesOnEveryMessageOfTwoBytes) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string bytes = {static_cast<char>(first),
                                 static_cast<char>(second)};
      ASSERT_EQ(
          CompareWith(Oracle<TypeParam>(bytes), wire_bytes::Sliced(bytes, 1)),
          std::nullopt)
          << Describe(bytes);
    }
  }
}

// A form that a serializer never writes, in a Tensor's fields or around them.
struct HardCase {
  std::string name;
  std::string bytes;
  bool valid;
};

std::vector<HardCase> HardCases() {
  using wire_bytes::Delimited;
  using wire_bytes::Fixed32Field;
  using wire_bytes::Fixed64Field;
  using wire_bytes::Group;
  using wire_bytes::NestedGroups;
  using wire_bytes::Packed;
  using wire_bytes::Tag;
  using wire_bytes::Varint;
  using wire_bytes::VarintField;
  // Field 15 is a tensor in all messages, and so is field 1 of some.
  const auto tensor = [](const std::string& body) {
    return Delimited(15, body);
  };
  constexpr std::uint64_t kBit32 = std::uint64_t{1} << 32;
  const std::uint64_t data_tag = 15 * 8 + 2;
  return {
      {"nothing", "", true},
      {"empty sub-message", tensor(""), true},
      {"sub-message in parts",
       tensor(VarintField(1, 2)) + tensor(Delimited(15, "data")), true},
      {"the last scalar counts, also a zero",
       tensor(VarintField(1, 2) + VarintField(1, 0)), true},
      {"the last bytes count, also none",
       tensor(Delimited(15, "data") + Delimited(15, "")), true},
      {"a list packed, alone and packed again",
       tensor(Packed(2, {1, 2}) + VarintField(2, 3) + Packed(2, {}) +
              Packed(2, {4})),
       true},
      {"more extents than are kept",
       tensor(Delimited(2, std::string(20, '\5'))), true},
      {"enum beyond 32 bits", tensor(VarintField(1, kBit32 + 2)), true},
      {"negative enum", tensor(VarintField(1, ~std::uint64_t{0})), true},
      {"varint of ten bytes, padded", tensor(Tag(1, 0) + Varint(2, 9)), true},
      {"varint of ten bytes, with bits that are dropped",
       tensor(Tag(2, 0) + std::string(9, '\xff') + '\x7f'), true},
      {"varint of eleven bytes", tensor(Tag(1, 0) + Varint(2, 10)), false},
      {"packed varint of eleven bytes", tensor(Delimited(2, Varint(2, 10))),
       false},
      {"tag of five bytes", Varint(data_tag, 4) + Varint(0), true},
      {"tag of five bytes, with bits that are dropped",
       Varint(data_tag + 5 * kBit32) + Varint(0), true},
      {"tag of six bytes", Varint(data_tag, 5) + Varint(0), false},
      {"length of five bytes", Tag(15, 2) + Varint(0, 4), true},
      {"length of five bytes, with bits that may not be dropped",
       Tag(15, 2) + Varint(kBit32), false},
      {"length of six bytes", Tag(15, 2) + Varint(0, 5), false},
      {"length beyond the message", Tag(15, 2) + Varint(2) + "\x08", false},
      {"length beyond the sub-message",
       tensor(Tag(15, 2) + Varint(2) + "x") + VarintField(9, 1), false},
      {"value beyond the sub-message", tensor(Tag(1, 0)) + VarintField(9, 1),
       false},
      {"fixed64 beyond the sub-message",
       tensor(Tag(9, 1) + "1234") + Fixed32Field(9, 1), false},
      {"fixed32 beyond the message", Tag(9, 5) + "123", false},
      {"packed value beyond its list",
       tensor(Tag(2, 2) + Varint(1) + Varint(300)), false},
      {"known fields with other wire types",
       tensor(Fixed64Field(1, 2) + Fixed32Field(2, 3) + VarintField(15, 4) +
              Delimited(1, "x") + Group(15, VarintField(1, 1))),
       true},
      {"sub-message as a varint", VarintField(15, 3), true},
      {"sub-message as a group", Group(15, VarintField(1, 2)), true},
      {"unknown fields of every wire type",
       VarintField(99, 1) + Fixed32Field(98, 2) + Fixed64Field(97, 3) +
           Delimited(96, "data") + Group(95, Group(94, VarintField(1, 2))),
       true},
      {"the largest field number", VarintField((1 << 29) - 1, 1), true},
      {"groups to the limit", NestedGroups(9, 100), true},
      {"groups beyond the limit", NestedGroups(9, 101), false},
      {"groups to the limit in a sub-message", tensor(NestedGroups(9, 99)),
       true},
      {"groups beyond the limit in a sub-message", tensor(NestedGroups(9, 100)),
       false},
      {"the limit counts open groups only",
       NestedGroups(9, 100) + NestedGroups(9, 100), true},
      {"group never ended", Tag(9, 3) + VarintField(1, 2), false},
      {"group ended by another", Group(9, Tag(8, 3) + Tag(7, 4)), false},
      {"groups ended in the wrong order",
       Tag(9, 3) + Tag(8, 3) + Tag(9, 4) + Tag(8, 4), false},
      {"end of a group never begun", Tag(9, 4), false},
      {"end of a group never begun, in a sub-message", tensor(Tag(9, 4)),
       false},
      {"group across the end of a sub-message", tensor(Tag(9, 3)) + Tag(9, 4),
       false},
      {"group ended by a padded tag", Tag(9, 3) + Tag(9, 4, 3), true},
      {"field 0 as a varint", VarintField(0, 1), false},
      {"field 0 as bytes", Delimited(0, ""), false},
      {"field 0 as a group", Group(0, ""), false},
      {"field 0 in an unknown group", Group(9, Fixed64Field(0, 1)), false},
      {"zeros after a sub-message", tensor("") + std::string(8, '\0'), false},
      {"wire type 6", Tag(9, 6) + Varint(0), false},
      {"wire type 7", Tag(9, 7) + Varint(0), false},
      {"wire type 6 of a known field", tensor(Tag(15, 6) + Varint(0)), false},
      {"wire type 7 in an unknown group", Group(9, Tag(1, 7) + Varint(0)),
       false},
  };
}

TYPED_TEST(ParserOracle, AgreesOnTheFormsThatSerializersNeverWrite) {
  for (const HardCase& hard : HardCases()) {
    SCOPED_TRACE(hard.name);
    const Oracle<TypeParam> oracle(hard.bytes);
    EXPECT_EQ(oracle.valid, hard.valid);
    EXPECT_TRUE(StreamAgrees(oracle, hard.bytes, 1));
    for (std::size_t size = 1; size <= hard.bytes.size() + 1; ++size) {
      EXPECT_EQ(CompareWith(oracle, wire_bytes::Sliced(hard.bytes, size)),
                std::nullopt);
    }
    for (std::size_t size = 0; size < hard.bytes.size(); ++size) {
      const std::string prefix = hard.bytes.substr(0, size);
      EXPECT_EQ(
          CompareWith(Oracle<TypeParam>(prefix), wire_bytes::Whole(prefix)),
          std::nullopt);
    }
  }
}

bool IsPrintable(const std::string& text) {
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

template <typename Decode>
void ExpectSoundRejections(const MessageSpec& spec, Decode decode) {
  MessageGenerator generator(20220104);
  for (int i = 0; i < kMessagesOfEachType; ++i) {
    const std::string bytes = generator.Message(spec);
    const absl::Status status = decode(wire_bytes::Whole(bytes)).status();
    if (status.ok()) continue;
    const std::string text(status.message());
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    ASSERT_TRUE(IsPrintable(text)) << absl::CHexEscape(text);
    ASSERT_LE(text.size(), 1024u) << text;
  }
}

TEST(RequestRejection, OfRandomMessagesIsPrintableAndShort) {
  ExpectSoundRejections(ForwardRequestSpec(), DecodeForwardRequest);
  ExpectSoundRejections(BackwardRequestSpec(), DecodeBackwardRequest);
}

}  // namespace
}  // namespace groupnorm
