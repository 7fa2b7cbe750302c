#include "client/cli/files/npy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/files/input_file.h"
#include "tests/unit/client/temporary_folder.h"

namespace groupnorm::cli {
namespace {

class Npy : public TemporaryFolder {
 protected:
  absl::StatusOr<OwnedTensor> Read(const std::string& contents,
                                   Uint16 uint16 = Uint16::kRefused) const {
    absl::StatusOr<InputFile> file = InputFile::Open(Create("x.npy", contents));
    if (!file.ok()) return file.status();
    return ReadNpy(*file, uint16);
  }

  /// The status of reading these contents, without the path before it.
  std::string ReadFault(const std::string& contents) const {
    return FaultBehind(Path("x.npy"), Read(contents).status());
  }
};

/// Version 1.0, or 2.0 with its longer length.
std::string File(int version, const std::string& header,
                 const std::string& elements) {
  std::string file("\x93NUMPY", 6);
  file += static_cast<char>(version);
  file += '\0';
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  if (version != 1) file += std::string(2, '\0');
  return file + header + elements;
}

std::string Header(const std::string& descr, const std::string& shape) {
  return absl::StrCat("{'descr': '", descr,
                      "', 'fortran_order': False, 'shape': ", shape, ", }\n");
}

constexpr char kNotNpy[] =
    "not a .npy file; save it with numpy.save, or name it .safetensors where "
    "it is one";
const std::string kElements = "abcdefghijklmnop";

TEST_F(Npy, IsReadInBothVersionsAndEveryElementType) {
  struct Case {
    std::string descr, shape;
    DataType dtype;
    Shape expected;
  };
  const std::vector<Case> cases = {
      {"<f2", "(2, 4)", DataType::kFloat16, {2, 4}},
      {"<f4", "(4,)", DataType::kFloat32, {4}},
      {"<f8", "(1, 2)", DataType::kFloat64, {1, 2}},
      {"<u2", "(8, 1)", DataType::kBfloat16, {8, 1}}};
  for (const int version : {1, 2}) {
    for (const Case& one : cases) {
      const absl::StatusOr<OwnedTensor> tensor =
          Read(File(version, Header(one.descr, one.shape), kElements),
               Uint16::kBfloat16);
      ASSERT_EQ(tensor.status(), absl::OkStatus());
      EXPECT_EQ(tensor->dtype(), one.dtype);
      EXPECT_EQ(tensor->shape(), one.expected);
      EXPECT_EQ(BytesOf(*tensor), kElements);
    }
  }
}

TEST_F(Npy, IsReadWithoutElements) {
  const absl::StatusOr<OwnedTensor> tensor =
      Read(File(1, Header("<f8", "(3, 0)"), ""));
  ASSERT_EQ(tensor.status(), absl::OkStatus());
  EXPECT_EQ(tensor->shape(), (Shape{3, 0}));
}

TEST_F(Npy, IsRefusedForItsElementType) {
  const auto fault = [&](const std::string& descr) {
    return ReadFault(File(1, Header(descr, "(8,)"), kElements));
  };
  EXPECT_EQ(fault("<u2"),
            "element type '<u2', expected float16, float32 or float64; --dtype "
            "bfloat16 reads uint16 as bfloat16");
  EXPECT_EQ(fault(">f4"),
            "element type '>f4', expected little-endian; convert it with "
            "astype('<f4')");
  EXPECT_EQ(fault("<V2"),
            "element type '<V2', expected float16, float32 or float64; save "
            "bfloat16 as its bits, x.view('uint16')");
  for (const std::string descr : {"<i4", "|u1", "<c8", "<f16", ""}) {
    EXPECT_EQ(fault(descr),
              absl::StrCat("element type '", descr,
                           "', expected float16, float32 or float64"));
  }
}

TEST_F(Npy, IsRefusedInColumnMajorOrder) {
  EXPECT_EQ(ReadFault(File(
                1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}",
                kElements)),
            "column-major (fortran_order), expected row-major; convert it with "
            "numpy.ascontiguousarray");
}

TEST_F(Npy, IsRefusedWhereBytesAreMissingOrTooMany) {
  const std::string header = Header("<f4", "(2, 2)");
  EXPECT_EQ(ReadFault(File(1, header, kElements.substr(1))),
            "15 bytes of elements, expected 16 for FLOAT32 [2, 2]");
  EXPECT_EQ(ReadFault(File(1, header, "")),
            "0 bytes of elements, expected 16 for FLOAT32 [2, 2]");
  EXPECT_EQ(ReadFault(File(1, header, kElements + "x")),
            "17 bytes of elements, expected 16 for FLOAT32 [2, 2]");
  // Far more than there is memory.
  EXPECT_EQ(ReadFault(File(1, Header("<f8", "(1099511627776, 1024)"), "")),
            "0 bytes of elements, expected 9007199254740992 for FLOAT64 "
            "[1099511627776, 1024]");
}

TEST_F(Npy, IsRefusedWhereTheFileEndsWithinItsHeader) {
  const std::string file = File(2, Header("<f4", "(4,)"), kElements);
  const std::size_t elements = file.size() - kElements.size();
  for (std::size_t size = 0; size < elements; ++size) {
    EXPECT_EQ(ReadFault(file.substr(0, size)),
              size < 8 ? kNotNpy : "cut off within its header")
        << size;
  }
}

TEST_F(Npy, IsRefusedForItsPreamble) {
  EXPECT_EQ(ReadFault("PK\x03\x04 an .npz file"), kNotNpy);
  std::string file = File(1, Header("<f4", "(4,)"), kElements);
  file[6] = 3;
  EXPECT_EQ(ReadFault(file), "format version 3.0, expected 1.0 or 2.0");
  file[6] = 1;
  file[7] = 1;
  EXPECT_EQ(ReadFault(file), "format version 1.1, expected 1.0 or 2.0");
  EXPECT_EQ(ReadFault(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)),
            "a header of 4294967295 bytes, expected at most 65536");
  EXPECT_EQ(ReadFault(File(1, "{'descr': 7}", "")),
            "header: expected a quoted string at character 10");
  EXPECT_EQ(
      ReadFault(File(1, Header("<f4", "(4611686018427387904, 4)"), "")),
      "shape: [4611686018427387904, 4], expected a product below 2^60 (zeros "
      "counted as ones)");
}

}  // namespace
}  // namespace groupnorm::cli
