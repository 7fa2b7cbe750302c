#include "client/cli/files/npy.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/files/npy_header.h"

namespace groupnorm::cli {

namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr std::size_t kMagicBytes = 6;
// NumPy itself reads no more than 10,000; a header of ours has some 130.
constexpr std::size_t kMaxHeaderBytes = 64 << 10;

/// Reads the header and leaves the file at its elements.
absl::StatusOr<NpyHeader> ReadNpyHeader(InputFile& file) {
  const absl::StatusOr<std::string> start = file.ReadPreamble(kMagicBytes + 2);
  if (!start.ok() || start->compare(0, kMagicBytes, kMagic) != 0) {
    return file.Malformed(
        "not a .npy file; save it with numpy.save, or name it .safetensors "
        "where it is one");
  }
  const int major = static_cast<unsigned char>((*start)[kMagicBytes]);
  const int minor = static_cast<unsigned char>((*start)[kMagicBytes + 1]);
  if ((major != 1 && major != 2) || minor != 0) {
    return file.Malformed(absl::StrCat("format version ", major, ".", minor,
                                       ", expected 1.0 or 2.0"));
  }
  const absl::StatusOr<std::string> text =
      file.ReadHeader(major == 1 ? 2 : 4, kMaxHeaderBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(*text);
  if (!header.ok()) {
    return file.Malformed(std::string(header.status().message()));
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
  } else if (descr == "<V2" || descr == "|V2") {
    advice += "; save bfloat16 as its bits, x.view('uint16')";
  } else if (!descr.empty() && descr[0] == '>') {
    advice = absl::StrCat("little-endian; convert it with astype('<",
                          descr.substr(1), "')");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("element type '", descr, "', expected ", advice));
}

}  // namespace

absl::StatusOr<OwnedTensor> ReadNpy(InputFile& file, Uint16 uint16) {
  const absl::StatusOr<NpyHeader> header = ReadNpyHeader(file);
  if (!header.ok()) return header.status();
  const absl::StatusOr<DataType> dtype = ElementType(header->descr, uint16);
  if (!dtype.ok()) return file.Malformed(std::string(dtype.status().message()));
  if (header->fortran_order) {
    return file.Malformed(
        "column-major (fortran_order), expected row-major; convert it with "
        "numpy.ascontiguousarray");
  }
  return file.ReadElements("", *dtype, header->shape, file.remaining_bytes());
}

}  // namespace groupnorm::cli
