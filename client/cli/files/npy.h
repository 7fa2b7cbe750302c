#ifndef GROUPNORM_CLIENT_CLI_FILES_NPY_H_
#define GROUPNORM_CLIENT_CLI_FILES_NPY_H_

#include "absl/status/statusor.h"
#include "client/cli/files/input_file.h"
#include "client/cli/files/owned_tensor.h"

/// Tensors in files of NumPy's `.npy` format (numpy.lib.format), versions 1.0
/// and 2.0. npy_header.h has what is needed to write one.
namespace groupnorm::cli {

/// What unsigned 16-bit integers in a file are: NumPy has no bfloat16.
enum class Uint16 { kRefused, kBfloat16 };

/// Reads little-endian float16, float32 or float64 in row-major order from the
/// start of the file. Fails with a message that starts with the path and says
/// what to do: INVALID_ARGUMENT where it is no such file, is cut off or has
/// bytes too many. Allocates no more than the file is long.
absl::StatusOr<OwnedTensor> ReadNpy(InputFile& file, Uint16 uint16);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_NPY_H_
