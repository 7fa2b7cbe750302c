#ifndef GROUPNORM_CLIENT_CLI_FILES_OUTPUT_FILE_H_
#define GROUPNORM_CLIENT_CLI_FILES_OUTPUT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/files/leftover.h"
#include "groupnorm/tensor_view.h"

namespace groupnorm::cli {

/// A file that is seen under its name only once it is complete. Until then it
/// lies beside it, and is removed when the object goes or a signal ends the
/// process (leftover.h). Keeps the permissions of a file that it replaces.
/// Move-only.
class OutputFile {
 public:
  /// Makes sure that `path` can be written, so that nothing is computed in
  /// vain. Fails where it cannot, or is something else than a regular file or a
  /// symbolic link to one; the message starts with the path.
  static absl::StatusOr<OutputFile> Open(const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  /// Whether there was a file of this name when it was opened.
  bool replaces() const { return replaces_; }

  /// Writes what the format puts before the elements, and these. To be called
  /// once.
  absl::Status Write(const std::string& preamble, const TensorView& elements);

  /// Puts the written file in its place, over what was there. To be called
  /// once, after Write.
  absl::Status Commit();

 private:
  OutputFile(std::string path, std::string target, std::string temporary,
             int file, bool replaces);

  std::string path_;       // As the user gave it, for messages.
  std::string target_;     // The same with symbolic links resolved.
  std::string temporary_;  // Empty once there is none.
  Leftover leftover_;      // The same.
  int file_;               // -1: closed.
  bool replaces_;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_OUTPUT_FILE_H_
