// Holds the codec's first stage against the generated C++ parser: the same
// verdict and the same values for every message, however it is sliced.

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <bit>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "message_generator.h"
#include "wire/message_slices.h"
#include "wire/request.h"
#include "wire/unchecked_messages.h"
#include "wire_bytes.h"

namespace groupnorm {
namespace {

// Nothing in them allocates, so a message's length cannot cost memory.
static_assert(std::is_trivially_copyable_v<UncheckedForwardRequest>);
static_assert(std::is_trivially_copyable_v<UncheckedBackwardRequest>);

constexpr int kMessagesOfEachType = 30'000;

// Each Compare returns the first difference, or nothing.
using Difference = std::optional<std::string>;

template <typename A, typename B>
Difference CompareValue(const char* name, A actual, B expected) {
  if (actual == expected) return std::nullopt;
  return absl::StrCat(name, ": ", actual, ", protobuf says ", expected);
}

Difference Compare(const MessageSlices& message, const UncheckedTensor& actual,
                   const v1::Tensor& expected) {
  if (auto d = CompareValue("dtype", actual.dtype, int{expected.dtype()})) {
    return d;
  }
  const auto rank = static_cast<std::uint64_t>(expected.shape_size());
  if (auto d = CompareValue("rank", actual.rank, rank)) return d;
  for (int i = 0; i < expected.shape_size() && i < Shape::kMaxRank; ++i) {
    if (auto d = CompareValue("extent", actual.first_extents[i],
                              std::int64_t{expected.shape(i)})) {
      return d;
    }
  }
  std::string data(actual.data.size, '\0');
  message.Copy(actual.data, reinterpret_cast<std::byte*>(data.data()));
  if (data != expected.data()) {
    return absl::StrCat("data: ", absl::CHexEscape(data), ", protobuf says ",
                        absl::CHexEscape(expected.data()));
  }
  return std::nullopt;
}

Difference Compare(const UncheckedConfig& actual,
                   const v1::GroupNormConfig& expected) {
  if (auto d = CompareValue("num_groups", actual.num_groups,
                            std::int64_t{expected.num_groups()})) {
    return d;
  }
  if (auto d = CompareValue("epsilon given", actual.epsilon.has_value(),
                            expected.has_epsilon())) {
    return d;
  }
  if (auto d = CompareValue(
          "epsilon", std::bit_cast<std::uint64_t>(actual.epsilon.value_or(0)),
          std::bit_cast<std::uint64_t>(expected.epsilon()))) {
    return d;
  }
  return CompareValue("layout", actual.layout, int{expected.layout()});
}

Difference Compare(const MessageSlices& message,
                   const UncheckedStatistics& actual,
                   const v1::Statistics& expected);

template <typename Actual, typename Expected>
Difference CompareField(const char* name, const MessageSlices& message,
                        const std::optional<Actual>& actual,
                        bool expected_present, const Expected& expected) {
  if (auto d = CompareValue(name, actual.has_value(), expected_present)) {
    return d;
  }
  if (!actual.has_value()) return std::nullopt;
  const Difference difference = Compare(message, *actual, expected);
  if (!difference.has_value()) return std::nullopt;
  return absl::StrCat(name, ".", *difference);
}

Difference Compare(const MessageSlices& message,
                   const UncheckedStatistics& actual,
                   const v1::Statistics& expected) {
  if (auto d = CompareField("mean", message, actual.mean, expected.has_mean(),
                            expected.mean())) {
    return d;
  }
  return CompareField("rstd", message, actual.rstd, expected.has_rstd(),
                      expected.rstd());
}

Difference Compare(const UncheckedGradients& actual,
                   const v1::BackwardRequest& expected) {
  UncheckedGradients wanted;
  for (const int gradient : expected.gradients()) {
    ++wanted.count;
    wanted.input |= gradient == v1::GRADIENT_INPUT;
    wanted.weight |= gradient == v1::GRADIENT_WEIGHT;
    wanted.bias |= gradient == v1::GRADIENT_BIAS;
    if ((gradient < 1 || gradient > 3) && !wanted.first_unknown) {
      wanted.first_unknown = gradient;
    }
  }
  const bool same =
      actual.count == wanted.count && actual.input == wanted.input &&
      actual.weight == wanted.weight && actual.bias == wanted.bias &&
      actual.first_unknown == wanted.first_unknown;
  if (same) return std::nullopt;
  return "gradients: not those of " + expected.ShortDebugString();
}

// One type of message: what protobuf, the codec and the generator call it.
struct ForwardRequestType {
  using Unchecked = UncheckedForwardRequest;
  using Generated = v1::ForwardRequest;
  static const MessageSpec& Spec() { return ForwardRequestSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected) {
    if (auto d = Compare(actual.config, expected.config())) return d;
    if (auto d = CompareField("weight", message, actual.weight,
                              expected.has_weight(), expected.weight())) {
      return d;
    }
    if (auto d = CompareField("bias", message, actual.bias, expected.has_bias(),
                              expected.bias())) {
      return d;
    }
    if (auto d =
            CompareField("statistics", message, actual.statistics,
                         expected.has_statistics(), expected.statistics())) {
      return d;
    }
    return CompareField("input", message, actual.input, expected.has_input(),
                        expected.input());
  }
};

struct BackwardRequestType {
  using Unchecked = UncheckedBackwardRequest;
  using Generated = v1::BackwardRequest;
  static const MessageSpec& Spec() { return BackwardRequestSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected) {
    if (auto d = Compare(actual.config, expected.config())) return d;
    if (auto d = CompareField("weight", message, actual.weight,
                              expected.has_weight(), expected.weight())) {
      return d;
    }
    if (auto d =
            CompareField("statistics", message, actual.statistics,
                         expected.has_statistics(), expected.statistics())) {
      return d;
    }
    if (auto d = Compare(actual.gradients, expected)) return d;
    if (auto d = CompareValue("frozen_statistics", actual.frozen_statistics,
                              expected.frozen_statistics())) {
      return d;
    }
    if (auto d =
            CompareValue("per_sample_gradients", actual.per_sample_gradients,
                         expected.per_sample_gradients())) {
      return d;
    }
    if (auto d =
            CompareField("grad_output", message, actual.grad_output,
                         expected.has_grad_output(), expected.grad_output())) {
      return d;
    }
    return CompareField("input", message, actual.input, expected.has_input(),
                        expected.input());
  }
};

struct ForwardResponseType {
  using Unchecked = UncheckedForwardResponse;
  using Generated = v1::ForwardResponse;
  static const MessageSpec& Spec() { return ForwardResponseSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected) {
    if (auto d =
            CompareField("statistics", message, actual.statistics,
                         expected.has_statistics(), expected.statistics())) {
      return d;
    }
    return CompareField("output", message, actual.output, expected.has_output(),
                        expected.output());
  }
};

struct BackwardResponseType {
  using Unchecked = UncheckedBackwardResponse;
  using Generated = v1::BackwardResponse;
  static const MessageSpec& Spec() { return BackwardResponseSpec(); }

  static Difference CompareAll(const MessageSlices& message,
                               const Unchecked& actual,
                               const Generated& expected) {
    if (auto d =
            CompareField("grad_weight", message, actual.grad_weight,
                         expected.has_grad_weight(), expected.grad_weight())) {
      return d;
    }
    if (auto d = CompareField("grad_bias", message, actual.grad_bias,
                              expected.has_grad_bias(), expected.grad_bias())) {
      return d;
    }
    return CompareField("grad_input", message, actual.grad_input,
                        expected.has_grad_input(), expected.grad_input());
  }
};

// What protobuf says of some bytes.
template <typename Type>
struct Oracle {
  explicit Oracle(const std::string& bytes)
      : valid(message.ParseFromArray(bytes.data(),
                                     static_cast<int>(bytes.size()))) {}

  typename Type::Generated message;
  bool valid;
};

// Both ways into protobuf's parser: from flat memory, as the oracle does, and
// from a stream of blocks, as gRPC does with its slices.
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

// The first difference between the codec and the oracle on a sliced message.
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
