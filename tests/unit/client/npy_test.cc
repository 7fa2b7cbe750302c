#include "client/cli/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace groupnorm::cli {
namespace {

using ::testing::EndsWith;
using ::testing::SizeIs;

class Npy : public ::testing::Test {
 protected:
  Npy() : directory(::testing::TempDir() + "/npy-XXXXXX") {
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
  }
  ~Npy() override { std::filesystem::remove_all(directory); }

  std::string Path(const std::string& name) const {
    return absl::StrCat(directory, "/", name);
  }

  std::string Create(const std::string& contents) const {
    std::ofstream(Path("x.npy"), std::ios::binary) << contents;
    return Path("x.npy");
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  /// The status of reading these contents, without the path before it.
  std::string ReadFault(const std::string& contents,
                        Uint16 uint16 = Uint16::kRefused) const {
    const std::string path = Create(contents);
    const absl::Status status = ReadNpy(path, uint16).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const std::string message(status.message());
    EXPECT_EQ(message.substr(0, path.size() + 2), path + ": ");
    return message.substr(std::min(message.size(), path.size() + 2));
  }

  std::string directory;
};

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

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
      const std::string path =
          Create(File(version, Header(one.descr, one.shape), kElements));
      const absl::StatusOr<OwnedTensor> tensor =
          ReadNpy(path, Uint16::kBfloat16);
      ASSERT_EQ(tensor.status(), absl::OkStatus());
      EXPECT_EQ(tensor->dtype(), one.dtype);
      EXPECT_EQ(tensor->shape(), one.expected);
      EXPECT_EQ(std::string(static_cast<const char*>(tensor->view().data),
                            tensor->size_bytes()),
                kElements);
    }
  }
}

TEST_F(Npy, IsReadWithoutElements) {
  const std::string path = Create(File(1, Header("<f8", "(3, 0)"), ""));
  const absl::StatusOr<OwnedTensor> tensor = ReadNpy(path, Uint16::kRefused);
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
              size < 8 ? "not a .npy file; save it with numpy.save"
                       : "cut off within its header")
        << size;
  }
}

TEST_F(Npy, IsRefusedForItsPreamble) {
  EXPECT_EQ(ReadFault("PK\x03\x04 an .npz file"),
            "not a .npy file; save it with numpy.save");
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

TEST_F(Npy, IsRefusedWhereItCannotBeOpened) {
  EXPECT_EQ(ReadNpy(Path("none.npy"), Uint16::kRefused).status(),
            absl::NotFoundError(
                absl::StrCat(Path("none.npy"), ": No such file or directory")));
  EXPECT_EQ(ReadNpy(directory, Uint16::kRefused).status(),
            absl::InvalidArgumentError(
                absl::StrCat(directory, ": not a regular file")));
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadNpy(Path("pipe"), Uint16::kRefused).status(),
            absl::InvalidArgumentError(
                absl::StrCat(Path("pipe"), ": not a regular file")));
}

TEST_F(Npy, IsReadAsItWasWritten) {
  for (const DataType dtype : kDataTypes) {
    const TensorView written = {
        dtype, {2, std::int64_t(8 / ElementSize(dtype))}, kElements.data()};
    absl::StatusOr<NpyOutput> output = NpyOutput::Open(Path("y.npy"));
    ASSERT_EQ(output.status(), absl::OkStatus());
    EXPECT_EQ(output->Write(written), absl::OkStatus());
    EXPECT_EQ(output->Commit(), absl::OkStatus());
    const absl::StatusOr<OwnedTensor> read =
        ReadNpy(Path("y.npy"), Uint16::kBfloat16);
    ASSERT_EQ(read.status(), absl::OkStatus());
    EXPECT_EQ(read->dtype(), dtype);
    EXPECT_EQ(read->shape(), written.shape);
    EXPECT_EQ(std::string(static_cast<const char*>(read->view().data), 16),
              kElements);
  }
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(Npy, IsSeenOnlyOnceItIsComplete) {
  const std::string path = Create("old");
  {
    absl::StatusOr<NpyOutput> output = NpyOutput::Open(path);
    ASSERT_EQ(output.status(), absl::OkStatus());
    EXPECT_EQ(output->Write({DataType::kFloat64, {2}, kElements.data()}),
              absl::OkStatus());
    EXPECT_EQ(Contents(path), "old");
  }
  // Never committed: nothing is left of it.
  EXPECT_EQ(Contents(path), "old");
  EXPECT_THAT(Files(), SizeIs(1));
  absl::StatusOr<NpyOutput> output = NpyOutput::Open(path);
  ASSERT_EQ(output.status(), absl::OkStatus());
  EXPECT_EQ(output->Write({DataType::kFloat64, {2}, kElements.data()}),
            absl::OkStatus());
  EXPECT_EQ(output->Commit(), absl::OkStatus());
  EXPECT_THAT(Contents(path), EndsWith(kElements));
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(Npy, IsWrittenBesideWhatAKilledProcessLeft) {
  // As of one with the same process id: those of containers repeat.
  const std::string left = absl::StrCat(Path("y.npy"), ".", getpid(), "-0.tmp");
  std::ofstream(left) << "half";
  {
    absl::StatusOr<NpyOutput> output = NpyOutput::Open(Path("y.npy"));
    ASSERT_EQ(output.status(), absl::OkStatus());
    EXPECT_EQ(output->Write({DataType::kFloat64, {2}, kElements.data()}),
              absl::OkStatus());
    EXPECT_EQ(output->Commit(), absl::OkStatus());
  }
  EXPECT_THAT(Contents(Path("y.npy")), EndsWith(kElements));
  EXPECT_EQ(Contents(left), "half");
}

TEST_F(Npy, GoesWhereASymbolicLinkLeads) {
  const std::string path = Create("old");
  std::filesystem::create_symlink("x.npy", Path("link.npy"));
  absl::StatusOr<NpyOutput> output = NpyOutput::Open(Path("link.npy"));
  ASSERT_EQ(output.status(), absl::OkStatus());
  EXPECT_EQ(output->Write({DataType::kFloat64, {2}, kElements.data()}),
            absl::OkStatus());
  EXPECT_EQ(output->Commit(), absl::OkStatus());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link.npy")));
  EXPECT_THAT(Contents(path), EndsWith(kElements));
}

TEST_F(Npy, IsNotOpenedWhereItCannotBeWritten) {
  EXPECT_EQ(NpyOutput::Open(Path("none/y.npy")).status(),
            absl::NotFoundError(absl::StrCat(Path("none/y.npy"),
                                             ": No such file or directory")));
  EXPECT_EQ(NpyOutput::Open(directory).status(),
            absl::InvalidArgumentError(
                absl::StrCat(directory, ": not a regular file")));
  EXPECT_EQ(NpyOutput::Open("/dev/null").status(),
            absl::InvalidArgumentError("/dev/null: not a regular file"));
  const std::string below = Create("") + "/y.npy";
  EXPECT_EQ(NpyOutput::Open(below).status().message(),
            absl::StrCat(below, ": Not a directory"));
  if (geteuid() != 0) {  // Nothing is read-only to the superuser.
    std::filesystem::permissions(Path("x.npy"),
                                 std::filesystem::perms::owner_read);
    EXPECT_EQ(NpyOutput::Open(Path("x.npy")).status(),
              absl::PermissionDeniedError(
                  absl::StrCat(Path("x.npy"), ": Permission denied")));
  }
}

TEST_F(Npy, SaysWhereTheDiskIsFull) {
  absl::StatusOr<NpyOutput> output = NpyOutput::Open(Path("y.npy"));
  ASSERT_EQ(output.status(), absl::OkStatus());
  // The same as a full disk: a file may not grow beyond this.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {64, before.rlim_max};
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status =
      output->Write({DataType::kFloat64, {2}, kElements.data()});
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, ignored);
  EXPECT_EQ(status.message(), absl::StrCat(Path("y.npy"), ": File too large"));
}

}  // namespace
}  // namespace groupnorm::cli
