#include "tensor/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

namespace groupnorm {
namespace {

// The formats by their definition in IEEE 754, in exact double arithmetic and
// without any bit of the code under test: sign, exponent, fraction.
struct Float16Format {
  using Type = Float16;
  static constexpr int kFractionBits = 10;
  static constexpr int kExponentBits = 5;
  template <typename Wide>
  static Type Round(Wide value) {
    return ToFloat16(value);
  }
};

struct Bfloat16Format {
  using Type = Bfloat16;
  static constexpr int kFractionBits = 7;
  static constexpr int kExponentBits = 8;
  template <typename Wide>
  static Type Round(Wide value) {
    return ToBfloat16(value);
  }
};

template <typename Format>
constexpr int kInfinityBits = ((1 << Format::kExponentBits) - 1)
                              << Format::kFractionBits;

// The value of a pattern without sign, read as if the exponent had no upper
// end: the pattern of infinity gives the power of two that would follow the
// largest finite value, which is how IEEE 754 tells what rounds to infinity.
template <typename Format>
double Magnitude(int bits) {
  const int bias = (1 << (Format::kExponentBits - 1)) - 1;
  const int exponent = bits >> Format::kFractionBits;
  const int fraction = bits & ((1 << Format::kFractionBits) - 1);
  const double unit = std::ldexp(1.0, 1 - bias - Format::kFractionBits);
  if (exponent == 0) return fraction * unit;
  return std::ldexp((1 << Format::kFractionBits) + fraction, exponent - 1) *
         unit;
}

bool IsNan(int bits, int infinity) { return (bits & 0x7fff) > infinity; }

template <typename Format>
class NarrowFloat : public testing::Test {
 public:
  static constexpr int kInfinity = kInfinityBits<Format>;

  template <typename Wide>
  static int RoundedBits(Wide value) {
    return Format::Round(value).bits;
  }

  // Expects both signs of a magnitude to round to `bits` and its negative.
  template <typename Wide>
  static void ExpectRoundsTo(Wide magnitude, int bits) {
    ASSERT_EQ(RoundedBits(magnitude), bits) << std::hexfloat << magnitude;
    ASSERT_EQ(RoundedBits(-magnitude), bits | 0x8000)
        << std::hexfloat << -magnitude;
  }

  // Walks all pairs of neighbours among the magnitudes, from zero to infinity,
  // and checks what lies between them. `Wide` holds every midpoint exactly.
  template <typename Wide>
  static void CheckEveryInterval() {
    constexpr Wide kUp = std::numeric_limits<Wide>::infinity();
    for (int low = 0; low < kInfinity; ++low) {
      const auto below = static_cast<Wide>(Magnitude<Format>(low));
      const double midpoint =
          (Magnitude<Format>(low) + Magnitude<Format>(low + 1)) / 2;
      const auto middle = static_cast<Wide>(midpoint);
      ASSERT_EQ(static_cast<double>(middle), midpoint);
      const int even = low % 2 == 0 ? low : low + 1;
      ExpectRoundsTo(below, low);
      ExpectRoundsTo(std::nextafter(below, kUp), low);
      ExpectRoundsTo(std::nextafter(middle, Wide{0}), low);
      ExpectRoundsTo(middle, even);
      ExpectRoundsTo(std::nextafter(middle, kUp), low + 1);
      const auto above = static_cast<Wide>(Magnitude<Format>(low + 1));
      ExpectRoundsTo(std::nextafter(above, Wide{0}), low + 1);
    }
  }
};

using Formats = testing::Types<Float16Format, Bfloat16Format>;
class FormatNames {
 public:
  template <typename Format>
  static std::string GetName(int /*index*/) {
    return std::is_same_v<Format, Float16Format> ? "Float16" : "Bfloat16";
  }
};
TYPED_TEST_SUITE(NarrowFloat, Formats, FormatNames);

TYPED_TEST(NarrowFloat, WidensEveryPatternExactly) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float wide =
        ToFloat(typename TypeParam::Type{static_cast<std::uint16_t>(bits)});
    ASSERT_EQ(std::signbit(wide), bits >= 0x8000) << bits;
    const int magnitude = bits & 0x7fff;
    if (IsNan(bits, TestFixture::kInfinity)) {
      ASSERT_TRUE(std::isnan(wide)) << bits;
    } else if (magnitude == TestFixture::kInfinity) {
      ASSERT_TRUE(std::isinf(wide)) << bits;
    } else {
      ASSERT_EQ(std::fabs(static_cast<double>(wide)),
                Magnitude<TypeParam>(magnitude))
          << bits;
    }
  }
}

TYPED_TEST(NarrowFloat, KeepsEveryPatternThroughFloatAndDouble) {
  constexpr int kQuiet = 1 << (TypeParam::kFractionBits - 1);
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float wide =
        ToFloat(typename TypeParam::Type{static_cast<std::uint16_t>(bits)});
    // A NaN keeps its sign and payload, and is made quiet.
    const int expected =
        IsNan(bits, TestFixture::kInfinity) ? bits | kQuiet : bits;
    ASSERT_EQ(this->RoundedBits(wide), expected);
    ASSERT_EQ(this->RoundedBits(static_cast<double>(wide)), expected);
  }
}

TYPED_TEST(NarrowFloat, RoundsEveryFloatIntervalToNearestEven) {
  this->template CheckEveryInterval<float>();
}

TYPED_TEST(NarrowFloat, RoundsEveryDoubleIntervalToNearestEven) {
  this->template CheckEveryInterval<double>();
}

// Rounding a double to float first would make each of these a tie.
TYPED_TEST(NarrowFloat, RoundsDoublesOnceNotTwice) {
  for (int low = 0; low < TestFixture::kInfinity; ++low) {
    const double midpoint =
        (Magnitude<TypeParam>(low) + Magnitude<TypeParam>(low + 1)) / 2;
    const double above = midpoint + std::ldexp(midpoint, -40);
    const double below = midpoint - std::ldexp(midpoint, -40);
    ASSERT_EQ(static_cast<float>(above), static_cast<float>(below));
    this->ExpectRoundsTo(above, low + 1);
    this->ExpectRoundsTo(below, low);
  }
}

TYPED_TEST(NarrowFloat, RoundsToInfinityFromHalfAStepBeyondTheLargest) {
  const int infinity = TestFixture::kInfinity;
  const double edge =
      (Magnitude<TypeParam>(infinity - 1) + Magnitude<TypeParam>(infinity)) / 2;
  this->ExpectRoundsTo(std::nextafter(edge, 0.0), infinity - 1);
  this->ExpectRoundsTo(edge, infinity);
  for (const double factor : {1.0, 1.25, 1.5, 1.999, 2.0, 1e10}) {
    this->ExpectRoundsTo(Magnitude<TypeParam>(infinity) * factor, infinity);
  }
  this->ExpectRoundsTo(std::numeric_limits<float>::max(), infinity);
  this->ExpectRoundsTo(std::numeric_limits<double>::max(), infinity);
  this->ExpectRoundsTo(std::numeric_limits<float>::infinity(), infinity);
  this->ExpectRoundsTo(std::numeric_limits<double>::infinity(), infinity);
}

TYPED_TEST(NarrowFloat, RoundsTinyValuesToZeroWithTheirSign) {
  const double smallest = Magnitude<TypeParam>(1);
  this->ExpectRoundsTo(0.0F, 0);
  this->ExpectRoundsTo(0.0, 0);
  this->ExpectRoundsTo(smallest / 2, 0);
  this->ExpectRoundsTo(std::nextafter(smallest / 2, 1.0), 1);
  this->ExpectRoundsTo(smallest / 4, 0);
  this->ExpectRoundsTo(std::numeric_limits<float>::denorm_min(), 0);
  this->ExpectRoundsTo(std::numeric_limits<double>::denorm_min(), 0);
  this->ExpectRoundsTo(std::numeric_limits<double>::min(), 0);
}

TYPED_TEST(NarrowFloat, KeepsANanWhosePayloadIsLostANan) {
  // Only the lowest bit of the payload is set, which the narrow format drops.
  const auto single = std::bit_cast<float>(0x7f800001U);
  const auto wide = std::bit_cast<double>(0xfff0000000000001ULL);
  constexpr int kQuiet = 1 << (TypeParam::kFractionBits - 1);
  EXPECT_EQ(this->RoundedBits(single), TestFixture::kInfinity | kQuiet);
  EXPECT_EQ(this->RoundedBits(wide), 0x8000 | TestFixture::kInfinity | kQuiet);
}

}  // namespace
}  // namespace groupnorm
