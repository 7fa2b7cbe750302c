#ifndef GROUPNORM_CLIENT_CLI_FILES_TENSOR_FILE_H_
#define GROUPNORM_CLIENT_CLI_FILES_TENSOR_FILE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/files/npy.h"
#include "client/cli/files/output_file.h"
#include "client/cli/files/owned_tensor.h"

/// Tensors in files as the command line names them: `x.safetensors`,
/// `x.safetensors:NAME` for one tensor of several, or any other path, which is
/// that of a `.npy` file.
namespace groupnorm::cli {

/// The path within such a name.
std::string PathOf(const std::string& name);

/// Reads the tensor that `name` stands for. Fails as ReadNpy, ReadSafetensors
/// and InputFile::Open do, and where NAME cannot be one.
absl::StatusOr<OwnedTensor> ReadTensor(const std::string& name, Uint16 uint16);

/// A file that a tensor is written to: an OutputFile with its format.
class TensorOutput {
 public:
  /// Fails as OutputFile::Open and CheckReplaceable do, and where NAME cannot
  /// be one.
  static absl::StatusOr<TensorOutput> Open(const std::string& name);

  /// Writes the tensor; in a `.npy` file BFLOAT16 as unsigned 16-bit integers,
  /// in a `.safetensors` file as `default_tensor_name` where `name` had none.
  absl::Status Write(const TensorView& tensor,
                     const std::string& default_tensor_name);

  absl::Status Commit() { return file_.Commit(); }

 private:
  TensorOutput(OutputFile file, bool safetensors,
               std::optional<std::string> tensor_name);

  OutputFile file_;
  bool safetensors_;
  std::optional<std::string> tensor_name_;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_TENSOR_FILE_H_
