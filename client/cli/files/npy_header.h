#ifndef GROUPNORM_CLIENT_CLI_FILES_NPY_HEADER_H_
#define GROUPNORM_CLIENT_CLI_FILES_NPY_HEADER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "groupnorm/tensor_view.h"

namespace groupnorm::cli {

/// The three entries of the dictionary in a `.npy` header.
struct NpyHeader {
  std::string descr;  ///< As in "<f4".
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Parses the dictionary, a Python literal such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`. Fails with
/// INVALID_ARGUMENT that says what was expected and where.
absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& text);

/// Everything that comes before the elements, in version 1.0, padded so that
/// they start at a multiple of 64 bytes. BFLOAT16 becomes uint16.
std::string NpyPreamble(DataType dtype, const Shape& shape);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_NPY_HEADER_H_
