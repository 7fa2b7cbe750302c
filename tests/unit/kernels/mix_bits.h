#ifndef GROUPNORM_TESTS_UNIT_KERNELS_MIX_BITS_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_MIX_BITS_H_

#include <cstdint>

namespace groupnorm {

/// A one-to-one map of 64-bit words that lets every bit depend on every other:
/// the output function of the generator splitmix64 (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", OOPSLA 2014).
constexpr std::uint64_t MixBits(std::uint64_t word) {
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
  return word ^ (word >> 31);
}

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_MIX_BITS_H_
