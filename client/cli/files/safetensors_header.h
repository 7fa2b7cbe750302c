#ifndef GROUPNORM_CLIENT_CLI_FILES_SAFETENSORS_HEADER_H_
#define GROUPNORM_CLIENT_CLI_FILES_SAFETENSORS_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "groupnorm/tensor_view.h"

namespace groupnorm::cli {

/// What the header of a `.safetensors` file says of one tensor.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  ///< As in "F32"; may be one that we do not know.
  std::vector<std::int64_t> shape;
  std::size_t begin = 0;  ///< Of its bytes, within those behind the header.
  std::size_t end = 0;
};

/// Parses the header, JSON, for a file that has `data_bytes` bytes behind it;
/// in the order of the bytes. Fails with INVALID_ARGUMENT that names the
/// tensor, the value and what was expected: where it is no JSON or lacks
/// something, where a key comes twice, and where the tensors do not fill the
/// bytes one after the other. A length that does not suit dtype and shape is
/// not seen.
absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(
    const std::string& text, std::size_t data_bytes);

/// The element type as the format names it, as in "BF16".
std::string SafetensorsDtype(DataType dtype);

/// A name in quotes, of bounded length and printable ASCII, for messages: what
/// a file holds must not reach a terminal as it is.
std::string QuotedName(const std::string& name);

/// Whether the format can hold a tensor of this name: UTF-8 that is not kept
/// for something else.
bool IsSafetensorsName(const std::string& name);

/// Everything that comes before the elements of a file of one tensor, padded so
/// that they start at a multiple of 8 bytes. Precondition:
/// IsSafetensorsName(name).
std::string SafetensorsPreamble(const std::string& name, DataType dtype,
                                const Shape& shape);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_SAFETENSORS_HEADER_H_
