#include "client/cli/files/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/files/file_error.h"

namespace groupnorm::cli {

namespace {

bool WriteAll(int file, const void* source, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = write(file, static_cast<const char*>(source) + done,
                                std::min(size - done, kMaxTransferBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

/// Creates a file of a new name beside `target`. -1: errno.
int CreateBeside(const std::string& target, std::string& name) {
  // In a container every run may have the same process id, and an earlier one
  // that was killed leaves its file.
  constexpr int kMaxAttempts = 100;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    name = absl::StrCat(target, ".", getpid(), "-", attempt, ".tmp");
    const int file =
        open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

}  // namespace

OutputFile::OutputFile(std::string path, std::string target,
                       std::string temporary, int file, bool replaces)
    : path_(std::move(path)),
      target_(std::move(target)),
      temporary_(std::move(temporary)),
      leftover_(temporary_),
      file_(file),
      replaces_(replaces) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      leftover_(std::move(other.leftover_)),
      file_(std::exchange(other.file_, -1)),
      replaces_(other.replaces_) {}

OutputFile::~OutputFile() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::StatusOr<OutputFile> OutputFile::Open(const std::string& path) {
  if (path.empty()) return FileFault("\"\"", "expected the name of a file");
  std::string target = path;
  struct stat info;
  const bool exists = stat(path.c_str(), &info) == 0;
  if (exists) {
    // A device or a pipe must not be replaced by a file.
    if (!S_ISREG(info.st_mode)) return FileFault(path, "not a regular file");
    if (access(path.c_str(), W_OK) != 0) return FileSystemError(path);
    // A symbolic link stays, and the file that it leads to is replaced.
    char* const resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return FileSystemError(path);
    target = resolved;
    std::free(resolved);
  } else if (errno != ENOENT) {
    return FileSystemError(path);
  } else if (lstat(path.c_str(), &info) == 0) {
    return FileFault(path, "a symbolic link to a file that does not exist");
  }
  // In the same directory, since a file cannot be renamed across file systems.
  std::string temporary;
  const int file = CreateBeside(target, temporary);
  if (file < 0) return FileSystemError(path);
  OutputFile output(path, std::move(target), std::move(temporary), file,
                    exists);
  if (exists && fchmod(file, info.st_mode & 0777) != 0) {
    return FileSystemError(path);
  }
  return output;
}

absl::Status OutputFile::Write(const std::string& preamble,
                               const TensorView& elements) {
  const bool written = WriteAll(file_, preamble.data(), preamble.size()) &&
                       WriteAll(file_, elements.data, elements.size_bytes());
  if (!written) return FileSystemError(path_);
  // Some file systems say only now that there was no room.
  if (close(std::exchange(file_, -1)) != 0) return FileSystemError(path_);
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    return FileSystemError(path_);
  }
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace groupnorm::cli
