#include "client/cli/npy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/npy_header.h"

namespace groupnorm::cli {

namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr std::size_t kMagicBytes = 6;
// NumPy itself reads no more than 10,000; a header of ours has some 130.
constexpr std::size_t kMaxHeaderBytes = 64 << 10;
// Linux moves at most 2 GiB at once.
constexpr std::size_t kMaxTransferBytes = 1 << 30;

absl::Status SystemError(const std::string& path) {
  const int code = errno;
  return absl::Status(absl::ErrnoToStatusCode(code),
                      absl::StrCat(path, ": ", std::strerror(code)));
}

absl::Status Malformed(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

/// An open file, closed when it goes.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Reads `size` bytes, or fewer where the file ends before. -1: errno.
ssize_t ReadUpTo(int file, void* destination, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = read(file, static_cast<char*>(destination) + done,
                               std::min(size - done, kMaxTransferBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

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

/// Reads exactly `size` bytes of what comes before the elements.
absl::StatusOr<std::string> ReadPreamble(int file, const std::string& path,
                                         std::size_t size) {
  std::string bytes(size, '\0');
  const ssize_t count = ReadUpTo(file, bytes.data(), size);
  if (count < 0) return SystemError(path);
  if (static_cast<std::size_t>(count) < size) {
    return Malformed(path, "cut off within its header");
  }
  return bytes;
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

std::size_t LittleEndian(const std::string& bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

/// Reads the header and leaves the file at its elements; adds what it read to
/// `offset`.
absl::StatusOr<NpyHeader> ReadHeader(int file, const std::string& path,
                                     std::size_t& offset) {
  const absl::StatusOr<std::string> start =
      ReadPreamble(file, path, kMagicBytes + 2);
  if (!start.ok() || start->compare(0, kMagicBytes, kMagic) != 0) {
    return Malformed(path, "not a .npy file; save it with numpy.save");
  }
  const int major = static_cast<unsigned char>((*start)[kMagicBytes]);
  const int minor = static_cast<unsigned char>((*start)[kMagicBytes + 1]);
  if ((major != 1 && major != 2) || minor != 0) {
    return Malformed(path, absl::StrCat("format version ", major, ".", minor,
                                        ", expected 1.0 or 2.0"));
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const absl::StatusOr<std::string> length =
      ReadPreamble(file, path, length_bytes);
  if (!length.ok()) return length.status();
  const std::size_t header_bytes = LittleEndian(*length);
  if (header_bytes > kMaxHeaderBytes) {
    return Malformed(
        path, absl::StrCat("a header of ", header_bytes,
                           " bytes, expected at most ", kMaxHeaderBytes));
  }
  const absl::StatusOr<std::string> text =
      ReadPreamble(file, path, header_bytes);
  if (!text.ok()) return text.status();
  offset += start->size() + length->size() + text->size();
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(*text);
  if (!header.ok()) {
    return Malformed(path, std::string(header.status().message()));
  }
  return header;
}

absl::StatusOr<DataType> ElementType(const std::string& descr, Uint16 uint16) {
  if (descr == "<f4") return DataType::kFloat32;
  if (descr == "<f8") return DataType::kFloat64;
  if (descr == "<f2") return DataType::kFloat16;
  if (descr == "<u2" && uint16 == Uint16::kBfloat16) {
    return DataType::kBfloat16;
  }
  std::string advice = "float16, float32 or float64";
  if (descr == "<u2") {
    advice += "; --dtype bfloat16 reads uint16 as bfloat16";
  } else if (!descr.empty() && descr[0] == '>') {
    advice = absl::StrCat("little-endian; convert it with astype('<",
                          descr.substr(1), "')");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("element type '", descr, "', expected ", advice));
}

}  // namespace

OwnedTensor::OwnedTensor(DataType dtype, const Shape& shape)
    : dtype_(dtype),
      shape_(shape),
      data_(std::make_unique_for_overwrite<std::byte[]>(
          TensorView{dtype, shape, nullptr}.size_bytes())) {}

absl::StatusOr<OwnedTensor> ReadNpy(const std::string& path, Uint16 uint16) {
  // Opening a pipe for reading would wait for its writer.
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return SystemError(path);
  if (!S_ISREG(info.st_mode)) return Malformed(path, "not a regular file");

  std::size_t offset = 0;
  const absl::StatusOr<NpyHeader> header = ReadHeader(file.get(), path, offset);
  if (!header.ok()) return header.status();
  const absl::StatusOr<DataType> dtype = ElementType(header->descr, uint16);
  if (!dtype.ok()) {
    return Malformed(path, std::string(dtype.status().message()));
  }
  if (header->fortran_order) {
    return Malformed(path,
                     "column-major (fortran_order), expected row-major; "
                     "convert it with numpy.ascontiguousarray");
  }
  const absl::StatusOr<Shape> shape = Shape::Create(header->shape);
  if (!shape.ok()) {
    return Malformed(
        path, absl::StrCat("shape: ", std::string(shape.status().message())));
  }
  const std::size_t expected = TensorView{*dtype, *shape, nullptr}.size_bytes();
  const std::size_t found = static_cast<std::size_t>(info.st_size) - offset;
  const auto wrong_length = [&](std::size_t bytes) {
    return Malformed(
        path, absl::StrCat(bytes, " bytes of elements, expected ", expected,
                           " for ", std::string(DataTypeName(*dtype)), " ",
                           shape->ToString()));
  };
  if (found != expected) return wrong_length(found);
  OwnedTensor tensor(*dtype, *shape);
  const ssize_t count = ReadUpTo(file.get(), tensor.data(), expected);
  if (count < 0) return SystemError(path);
  // Somebody may have cut the file off since.
  if (static_cast<std::size_t>(count) != expected) {
    return wrong_length(static_cast<std::size_t>(count));
  }
  return tensor;
}

NpyOutput::NpyOutput(std::string path, std::string target,
                     std::string temporary, int file)
    : path_(std::move(path)),
      target_(std::move(target)),
      temporary_(std::move(temporary)),
      leftover_(temporary_),
      file_(file) {}

NpyOutput::NpyOutput(NpyOutput&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      leftover_(std::move(other.leftover_)),
      file_(std::exchange(other.file_, -1)) {}

NpyOutput::~NpyOutput() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::StatusOr<NpyOutput> NpyOutput::Open(const std::string& path) {
  if (path.empty()) return Malformed("\"\"", "expected the name of a file");
  std::string target = path;
  struct stat info;
  const bool exists = stat(path.c_str(), &info) == 0;
  if (exists) {
    // A device or a pipe must not be replaced by a file.
    if (!S_ISREG(info.st_mode)) return Malformed(path, "not a regular file");
    if (access(path.c_str(), W_OK) != 0) return SystemError(path);
    // A symbolic link stays, and the file that it leads to is replaced.
    char* const resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return SystemError(path);
    target = resolved;
    std::free(resolved);
  } else if (errno != ENOENT) {
    return SystemError(path);
  }
  // In the same directory, since a file cannot be renamed across file systems.
  std::string temporary;
  const int file = CreateBeside(target, temporary);
  if (file < 0) return SystemError(path);
  NpyOutput output(path, std::move(target), std::move(temporary), file);
  if (exists && fchmod(file, info.st_mode & 0777) != 0) {
    return SystemError(path);
  }
  return output;
}

absl::Status NpyOutput::Write(const TensorView& tensor) {
  const std::string preamble = NpyPreamble(tensor.dtype, tensor.shape);
  const bool written = WriteAll(file_, preamble.data(), preamble.size()) &&
                       WriteAll(file_, tensor.data, tensor.size_bytes());
  if (!written) return SystemError(path_);
  // Some file systems say only now that there was no room.
  if (close(std::exchange(file_, -1)) != 0) return SystemError(path_);
  return absl::OkStatus();
}

absl::Status NpyOutput::Commit() {
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    return SystemError(path_);
  }
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace groupnorm::cli
