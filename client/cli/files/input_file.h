#ifndef GROUPNORM_CLIENT_CLI_FILES_INPUT_FILE_H_
#define GROUPNORM_CLIENT_CLI_FILES_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/files/owned_tensor.h"

namespace groupnorm::cli {

/// A regular file that is read from its start on. Every failure begins with its
/// path. Move-only; not thread-safe.
class InputFile {
 public:
  /// Fails with the code and text of the operating system where the file cannot
  /// be opened, with INVALID_ARGUMENT where it is no regular file.
  static absl::StatusOr<InputFile> Open(const std::string& path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  /// Bytes behind what was read or skipped, as of the opening.
  std::size_t remaining_bytes() const { return size_bytes_ - position_; }

  /// Reads exactly `size` bytes. Fails with INVALID_ARGUMENT where the file
  /// ends before.
  absl::StatusOr<std::string> ReadPreamble(std::size_t size);

  /// Reads a header that comes behind its length, a little-endian number of
  /// `length_bytes` bytes. Fails as ReadPreamble does, and where it is longer
  /// than `max_bytes`.
  absl::StatusOr<std::string> ReadHeader(std::size_t length_bytes,
                                         std::size_t max_bytes);

  /// Skips `size` bytes. Precondition: size <= remaining_bytes().
  absl::Status Skip(std::size_t size);

  /// Reads a tensor for which the file has `found_bytes` bytes next. Fails with
  /// INVALID_ARGUMENT where the extents make no shape, or one of another size;
  /// `what` precedes the rest of the message. Allocates no more than that.
  absl::StatusOr<OwnedTensor> ReadElements(
      const std::string& what, DataType dtype,
      std::span<const std::int64_t> extents, std::size_t found_bytes);

  /// INVALID_ARGUMENT: the path, and what is wrong.
  absl::Status Malformed(const std::string& fault) const;

 private:
  InputFile(std::string path, int file);

  /// Reads fewer bytes where the file ends before.
  absl::StatusOr<std::size_t> ReadUpTo(void* destination, std::size_t size);

  std::string path_;
  int file_;  // -1: moved from.
  std::size_t size_bytes_ = 0;
  std::size_t position_ = 0;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_INPUT_FILE_H_
