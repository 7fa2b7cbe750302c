#include "client/cli/files/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/files/file_error.h"

namespace groupnorm::cli {

InputFile::InputFile(std::string path, int file)
    : path_(std::move(path)), file_(file) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      size_bytes_(other.size_bytes_),
      position_(other.position_) {}

InputFile::~InputFile() {
  if (file_ >= 0) close(file_);
}

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  // Opening a pipe for reading would wait for its writer.
  InputFile file(path, open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (file.file_ < 0 || fstat(file.file_, &info) != 0) {
    return FileSystemError(path);
  }
  if (!S_ISREG(info.st_mode)) return FileFault(path, "not a regular file");
  file.size_bytes_ = static_cast<std::size_t>(info.st_size);
  return file;
}

absl::Status InputFile::Malformed(const std::string& fault) const {
  return FileFault(path_, fault);
}

absl::StatusOr<std::size_t> InputFile::ReadUpTo(void* destination,
                                                std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = read(file_, static_cast<char*>(destination) + done,
                               std::min(size - done, kMaxTransferBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileSystemError(path_);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  position_ += done;
  return done;
}

absl::StatusOr<std::string> InputFile::ReadPreamble(std::size_t size) {
  const absl::Status cut_off = Malformed("cut off within its header");
  if (size > remaining_bytes()) return cut_off;
  std::string bytes(size, '\0');
  const absl::StatusOr<std::size_t> count = ReadUpTo(bytes.data(), size);
  if (!count.ok()) return count.status();
  // Somebody may have cut the file off since.
  if (*count < size) return cut_off;
  return bytes;
}

absl::StatusOr<std::string> InputFile::ReadHeader(std::size_t length_bytes,
                                                  std::size_t max_bytes) {
  const absl::StatusOr<std::string> length = ReadPreamble(length_bytes);
  if (!length.ok()) return length.status();
  std::uint64_t header_bytes = 0;
  for (std::size_t i = length_bytes; i-- > 0;) {
    header_bytes = header_bytes << 8 | static_cast<unsigned char>((*length)[i]);
  }
  if (header_bytes > max_bytes) {
    return Malformed(absl::StrCat("a header of ", header_bytes,
                                  " bytes, expected at most ", max_bytes));
  }
  return ReadPreamble(header_bytes);
}

absl::Status InputFile::Skip(std::size_t size) {
  if (lseek(file_, static_cast<off_t>(size), SEEK_CUR) < 0) {
    return FileSystemError(path_);
  }
  position_ += size;
  return absl::OkStatus();
}

absl::StatusOr<OwnedTensor> InputFile::ReadElements(
    const std::string& what, DataType dtype,
    std::span<const std::int64_t> extents, std::size_t found_bytes) {
  const absl::StatusOr<Shape> shape = Shape::Create(extents);
  if (!shape.ok()) {
    return Malformed(
        absl::StrCat(what, "shape: ", std::string(shape.status().message())));
  }
  const std::size_t expected = TensorView{dtype, *shape, nullptr}.size_bytes();
  const auto wrong_length = [&](std::size_t bytes) {
    return Malformed(absl::StrCat(
        what, bytes, " bytes of elements, expected ", expected, " for ",
        std::string(DataTypeName(dtype)), " ", shape->ToString()));
  };
  if (found_bytes != expected) return wrong_length(found_bytes);
  OwnedTensor tensor(dtype, *shape);
  const absl::StatusOr<std::size_t> count = ReadUpTo(tensor.data(), expected);
  if (!count.ok()) return count.status();
  if (*count != expected) return wrong_length(*count);
  return tensor;
}

}  // namespace groupnorm::cli
