#ifndef GROUPNORM_CLIENT_CLI_FILES_SAFETENSORS_H_
#define GROUPNORM_CLIENT_CLI_FILES_SAFETENSORS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/files/input_file.h"
#include "client/cli/files/owned_tensor.h"

/// Tensors in files of the `.safetensors` format: the length of a header, the
/// header, and the bytes of the tensors that it names. safetensors_header.h has
/// what is needed to write one.
namespace groupnorm::cli {

/// Reads the tensor of this name, or without a name the only one that the file
/// has, and none of the others' bytes. Fails with INVALID_ARGUMENT and a
/// message that starts with the path where there is no such tensor, its element
/// type is not one of the four, or the file is not as the format wants it.
/// Allocates for the elements no more than the file is long.
absl::StatusOr<OwnedTensor> ReadSafetensors(
    InputFile& file, const std::optional<std::string>& name);

/// Whether a file of one tensor, called `name` if that is given, may take the
/// place of what `path` has, a regular file. Not where that holds several
/// tensors or one of another name, nor where it begins as this format does and
/// cannot be read: INVALID_ARGUMENT, the path and the reason. Any other file
/// may be replaced.
absl::Status CheckReplaceable(const std::string& path,
                              const std::optional<std::string>& name);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_SAFETENSORS_H_
