#ifndef GROUPNORM_TESTS_FUZZ_FUZZ_INPUT_H_
#define GROUPNORM_TESTS_FUZZ_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/message_slices.h"

/// What all fuzz targets share: how a file is read, and how a target fails.
namespace groupnorm::fuzz {

/// A message and what is done with it, taken from any bytes. The message comes
/// first, so that a file begins as the message does; behind it lie, from the
/// end, the type, the order, the number of cuts (modulo 8), and as many cuts of
/// two bytes, little-endian. What is missing is zero.
struct FuzzInput {
  FuzzInput(const std::uint8_t* data, std::size_t size);

  std::uint8_t type = 0;   ///< Which message this is: 0 Forward, 1 Backward.
  std::uint8_t order = 0;  ///< In which tasks run; 0 is the ordinary one.
  std::vector<std::size_t> cuts;  ///< Offsets within the message, ascending.
  std::string message;

  /// The message in one slice, and cut at `cuts`. Each slice has memory of its
  /// own, so that AddressSanitizer sees a step beyond it.
  MessageSlices whole() const;
  MessageSlices sliced() const;
};

/// Ends the process where `holds` is false, and says which property that was.
void Require(bool holds, std::string_view property);

/// The same where there is a difference, which it shows.
void RequireNone(const std::optional<std::string>& difference,
                 std::string_view property);

/// At most 1,024 bytes of printable ASCII: what the contract says of every
/// text of an error.
void RequireSoundText(std::string_view text);

}  // namespace groupnorm::fuzz

/// What libFuzzer calls, and each target defines. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size);

#endif  // GROUPNORM_TESTS_FUZZ_FUZZ_INPUT_H_
