#include "client/cli/files/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/files/npy_header.h"
#include "client/cli/files/safetensors_header.h"
#include "tests/unit/client/temporary_folder.h"

namespace groupnorm::cli {
namespace {

using ::testing::SizeIs;

const std::string kElements = "abcdefghijklmnop";

class TensorFile : public TemporaryFolder {
 protected:
  /// Writes two doubles under this name, in the folder.
  void WriteAs(const std::string& name) const {
    absl::StatusOr<TensorOutput> output = TensorOutput::Open(Path(name));
    ASSERT_EQ(output.status(), absl::OkStatus());
    EXPECT_EQ(
        output->Write({DataType::kFloat64, {2}, kElements.data()}, "output"),
        absl::OkStatus());
    EXPECT_EQ(output->Commit(), absl::OkStatus());
  }
};

TEST_F(TensorFile, IsReadAsItWasWrittenInBothFormats) {
  for (const std::string name :
       {"y.npy", "y.safetensors", "z.safetensors:a:b/c.safetensors:d"}) {
    for (const DataType dtype : kDataTypes) {
      const TensorView written = {
          dtype, {2, std::int64_t(8 / ElementSize(dtype))}, kElements.data()};
      absl::StatusOr<TensorOutput> output = TensorOutput::Open(Path(name));
      ASSERT_EQ(output.status(), absl::OkStatus());
      EXPECT_EQ(output->Write(written, "output"), absl::OkStatus());
      EXPECT_EQ(output->Commit(), absl::OkStatus());
      const absl::StatusOr<OwnedTensor> read =
          ReadTensor(Path(name), Uint16::kBfloat16);
      ASSERT_EQ(read.status(), absl::OkStatus());
      EXPECT_EQ(read->dtype(), dtype);
      EXPECT_EQ(read->shape(), written.shape);
      EXPECT_EQ(BytesOf(*read), kElements);
    }
  }
  EXPECT_THAT(Files(), SizeIs(3));
}

TEST_F(TensorFile, IsOfTheFormatThatItsEndingSays) {
  WriteAs("y.npy");
  WriteAs("y.bin");
  WriteAs("y.safetensors");
  WriteAs("z.safetensors:mean");
  const std::string npy = NpyPreamble(DataType::kFloat64, {2}) + kElements;
  EXPECT_EQ(Contents(Path("y.npy")), npy);
  EXPECT_EQ(Contents(Path("y.bin")), npy);
  EXPECT_EQ(Contents(Path("y.safetensors")),
            SafetensorsPreamble("output", DataType::kFloat64, {2}) + kElements);
  EXPECT_EQ(Contents(Path("z.safetensors")),
            SafetensorsPreamble("mean", DataType::kFloat64, {2}) + kElements);
}

TEST_F(TensorFile, DoesNotTakeThePlaceOfOtherTensors) {
  const auto refusal = [&](const std::string& name) {
    return FaultBehind(Path("y.safetensors"),
                       TensorOutput::Open(Path(name)).status());
  };
  // As a file with this header, and no bytes behind it.
  const auto create = [&](std::string header) {
    header.resize(200, ' ');
    return Create("y.safetensors",
                  std::string("\310\0\0\0\0\0\0\0", 8) + header);
  };
  const std::string entry =
      R"({"dtype":"I64","shape":[0],"data_offsets":[0,0]})";
  const std::string two =
      Contents(create(absl::StrCat(R"({"a":)", entry, R"(,"b":)", entry, "}")));
  for (const std::string name :
       {"y.safetensors", "y.safetensors:a", "y.safetensors:c"}) {
    EXPECT_EQ(refusal(name), "holds 2 tensors, and would be replaced by one");
  }
  EXPECT_EQ(Contents(Path("y.safetensors")), two);
  create(absl::StrCat(R"({"__metadata__":{},"a":)", entry, "}"));
  EXPECT_EQ(refusal("y.safetensors:b"),
            R"(holds tensor "a", and would be replaced by "b")");
  // It may hold others that we do not see.
  create(R"({"a":)");
  EXPECT_EQ(refusal("y.safetensors:a"), "header: no JSON at byte 201");
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(TensorFile, TakesThePlaceOfItsOwnTensorAndOfWhatHoldsNone) {
  const std::string written =
      SafetensorsPreamble("a", DataType::kFloat64, {2}) + kElements;
  const std::string npy = NpyPreamble(DataType::kFloat64, {2}) + kElements;
  const std::string none("\2\0\0\0\0\0\0\0{}", 10);
  for (const std::string& before :
       {std::string(), std::string("a note"), npy, none, written}) {
    Create("y.safetensors", before);
    WriteAs("y.safetensors:a");
    EXPECT_EQ(Contents(Path("y.safetensors")), written);
  }
  // Without a name, whichever the only one has.
  WriteAs("y.safetensors");
  EXPECT_EQ(Contents(Path("y.safetensors")),
            SafetensorsPreamble("output", DataType::kFloat64, {2}) + kElements);
}

TEST_F(TensorFile, HasThePathBeforeTheFirstColonBehindItsEnding) {
  EXPECT_EQ(PathOf("y.npy"), "y.npy");
  EXPECT_EQ(PathOf("a:b/y.npy:c"), "a:b/y.npy:c");
  EXPECT_EQ(PathOf("a:b/y.safetensors"), "a:b/y.safetensors");
  EXPECT_EQ(PathOf("y.safetensors:a:b"), "y.safetensors");
  EXPECT_EQ(PathOf("y.safetensors:x.safetensors:b"), "y.safetensors");
}

TEST_F(TensorFile, IsRefusedForANameThatNoTensorCanHave) {
  for (const auto& [name, shown] :
       {std::pair("", "\"\""), std::pair("__metadata__", "\"__metadata__\""),
        std::pair("\xff", "\"\\377\"")}) {
    const std::string file = absl::StrCat(Path("y.safetensors"), ":", name);
    const std::string fault =
        absl::StrCat(shown, ", expected the name of a tensor behind the colon");
    EXPECT_EQ(FaultBehind(Path("y.safetensors"),
                          ReadTensor(file, Uint16::kRefused).status()),
              fault);
    EXPECT_EQ(
        FaultBehind(Path("y.safetensors"), TensorOutput::Open(file).status()),
        fault);
  }
  EXPECT_THAT(Files(), SizeIs(0));
}

TEST_F(TensorFile, IsRefusedWhereItCannotBeOpened) {
  for (const std::string name : {"none.npy", "none.safetensors"}) {
    EXPECT_EQ(ReadTensor(Path(name), Uint16::kRefused).status(),
              absl::NotFoundError(
                  absl::StrCat(Path(name), ": No such file or directory")));
  }
  EXPECT_EQ(ReadTensor(directory, Uint16::kRefused).status(),
            absl::InvalidArgumentError(
                absl::StrCat(directory, ": not a regular file")));
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadTensor(Path("pipe"), Uint16::kRefused).status(),
            absl::InvalidArgumentError(
                absl::StrCat(Path("pipe"), ": not a regular file")));
}

}  // namespace
}  // namespace groupnorm::cli
