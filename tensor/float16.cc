#include "tensor/float16.h"

#include <bit>
#include <concepts>

namespace groupnorm {

namespace {

// The parts of a binary floating-point format, and how a wider one is rounded
// to it. `Bits` holds the wider format's bits.
template <typename Bits, int kMantissaBits, int kExponentBits>
struct Format {
  static constexpr int kMantissa = kMantissaBits;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr Bits kMantissaMask = (Bits{1} << kMantissaBits) - 1;
  static constexpr Bits kInfinity = ((Bits{1} << kExponentBits) - 1)
                                    << kMantissaBits;
  static constexpr Bits kSign = Bits{1} << (kMantissaBits + kExponentBits);
};

template <typename Bits>
using HalfFormat = Format<Bits, 10, 5>;
template <typename Bits>
using BfloatFormat = Format<Bits, 7, 8>;

// value >> shift, rounded to nearest, ties to even. 1 <= shift < width.
template <std::unsigned_integral Bits>
Bits ShiftRightToNearestEven(Bits value, int shift) {
  const Bits quotient = value >> shift;
  const Bits remainder = value & ((Bits{1} << shift) - 1);
  const Bits half = Bits{1} << (shift - 1);
  const bool up =
      remainder > half || (remainder == half && (quotient & 1) != 0);
  return quotient + (up ? 1 : 0);
}

// Narrows the bits of a number in format `From` to `To`, both held in `Bits`.
template <typename From, typename To, std::unsigned_integral Bits>
std::uint16_t Narrow(Bits bits) {
  const auto sign = static_cast<std::uint16_t>(
      (bits & From::kSign) != 0 ? To::kSign : Bits{0});
  const Bits magnitude = bits & ~From::kSign;
  constexpr int kDrop = From::kMantissa - To::kMantissa;
  if (magnitude > From::kInfinity) {
    const Bits payload = (magnitude & From::kMantissaMask) >> kDrop;
    constexpr Bits kQuiet = Bits{1} << (To::kMantissa - 1);
    return static_cast<std::uint16_t>(sign | To::kInfinity | payload | kQuiet);
  }
  // Exponent in the narrow format; the bit above the mantissa is its lowest, so
  // a carry out of the mantissa gives the next binade, or infinity.
  const int exponent =
      static_cast<int>(magnitude >> From::kMantissa) - From::kBias + To::kBias;
  if (exponent >= static_cast<int>(To::kInfinity >> To::kMantissa)) {
    return static_cast<std::uint16_t>(sign | To::kInfinity);
  }
  if (exponent >= 1) {
    const Bits rebiased = (static_cast<Bits>(exponent) << From::kMantissa) |
                          (magnitude & From::kMantissaMask);
    if constexpr (kDrop == 0) {
      return static_cast<std::uint16_t>(sign | rebiased);
    } else {
      return static_cast<std::uint16_t>(
          sign | ShiftRightToNearestEven(rebiased, kDrop));
    }
  }
  // Subnormal in the narrow format: the leading one becomes a mantissa bit. A
  // source that is subnormal itself has none, and is scaled by its own format.
  const bool normal = (magnitude >> From::kMantissa) != 0;
  const Bits mantissa = (magnitude & From::kMantissaMask) |
                        (normal ? Bits{1} << From::kMantissa : Bits{0});
  const int shift = kDrop + (normal ? 1 - exponent : -exponent);
  if (shift > From::kMantissa + 1) return sign;  // Below half the smallest.
  return static_cast<std::uint16_t>(sign |
                                    ShiftRightToNearestEven(mantissa, shift));
}

using Single = Format<std::uint32_t, 23, 8>;
using Double = Format<std::uint64_t, 52, 11>;

}  // namespace

float ToFloat(Bfloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

float ToFloat(Float16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000)
                             << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1f;
  const std::uint32_t mantissa = value.bits & 0x3ff;
  if (exponent == 0) {
    // 2^-24 is the smallest subnormal; the product is exact.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t wide_exponent =
      exponent == 0x1f ? 0xff : exponent + (Single::kBias - 15);
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (mantissa << 13));
}

Float16 ToFloat16(float value) {
  return {Narrow<Single, HalfFormat<std::uint32_t>>(
      std::bit_cast<std::uint32_t>(value))};
}

Float16 ToFloat16(double value) {
  return {Narrow<Double, HalfFormat<std::uint64_t>>(
      std::bit_cast<std::uint64_t>(value))};
}

Bfloat16 ToBfloat16(float value) {
  return {Narrow<Single, BfloatFormat<std::uint32_t>>(
      std::bit_cast<std::uint32_t>(value))};
}

Bfloat16 ToBfloat16(double value) {
  return {Narrow<Double, BfloatFormat<std::uint64_t>>(
      std::bit_cast<std::uint64_t>(value))};
}

}  // namespace groupnorm
