#ifndef GROUPNORM_CLIENT_CLI_NPY_H_
#define GROUPNORM_CLIENT_CLI_NPY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/leftover.h"
#include "groupnorm/tensor_view.h"

/// Tensors in files of NumPy's `.npy` format (numpy.lib.format), versions 1.0
/// and 2.0.
namespace groupnorm::cli {

/// A tensor with its memory, whose contents are undefined at first. Move-only.
/// The constructor throws std::bad_alloc where there is not enough memory.
class OwnedTensor {
 public:
  OwnedTensor(DataType dtype, const Shape& shape);

  DataType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t size_bytes() const { return view().size_bytes(); }
  void* data() { return data_.get(); }
  TensorView view() const { return {dtype_, shape_, data_.get()}; }

 private:
  DataType dtype_;
  Shape shape_;
  std::unique_ptr<std::byte[]> data_;
};

/// What unsigned 16-bit integers in a file are: NumPy has no bfloat16.
enum class Uint16 { kRefused, kBfloat16 };

/// Reads a file of little-endian float16, float32 or float64 in row-major
/// order. Fails with a message that starts with the path and says what to do:
/// NOT_FOUND or another code of the operating system where it cannot be read,
/// INVALID_ARGUMENT where it is no such file, is cut off or has bytes too many.
/// Allocates no more than the file is long.
absl::StatusOr<OwnedTensor> ReadNpy(const std::string& path, Uint16 uint16);

/// A `.npy` file that is seen under its name only once it is complete. Until
/// then it lies beside it, and is removed when the object goes or a signal ends
/// the process (leftover.h). Keeps the permissions of a file that it replaces.
/// Move-only.
class NpyOutput {
 public:
  /// Makes sure that `path` can be written, so that nothing is computed in
  /// vain. Fails where it cannot, or is something else than a regular file; the
  /// message starts with the path.
  static absl::StatusOr<NpyOutput> Open(const std::string& path);

  NpyOutput(NpyOutput&& other) noexcept;
  NpyOutput& operator=(NpyOutput&&) = delete;
  ~NpyOutput();

  /// Writes the tensor, BFLOAT16 as unsigned 16-bit integers. To be called
  /// once.
  absl::Status Write(const TensorView& tensor);

  /// Puts the written file in its place, over what was there. To be called
  /// once, after Write.
  absl::Status Commit();

 private:
  NpyOutput(std::string path, std::string target, std::string temporary,
            int file);

  std::string path_;       // As the user gave it, for messages.
  std::string target_;     // The same with symbolic links resolved.
  std::string temporary_;  // Empty once there is none.
  Leftover leftover_;      // The same.
  int file_;               // -1: closed.
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_NPY_H_
