#include "client/cli/files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/files/input_file.h"
#include "client/cli/files/safetensors_header.h"
#include "tests/unit/client/temporary_folder.h"

namespace groupnorm::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::StartsWith;

const std::string kElements = "abcdefghijklmnop";

std::string File(const std::string& header, const std::string& data) {
  std::string file;
  for (int byte = 0; byte < 8; ++byte) {
    file += static_cast<char>(header.size() >> (8 * byte) & 0xff);
  }
  return file + header + data;
}

std::string Entry(const std::string& name, const std::string& dtype,
                  const std::string& shape, const std::string& offsets) {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype,
                      "\",\"shape\":", shape, ",\"data_offsets\":", offsets,
                      "}");
}

class Safetensors : public TemporaryFolder {
 protected:
  absl::StatusOr<OwnedTensor> Read(
      const std::string& contents,
      const std::optional<std::string>& name = std::nullopt) const {
    absl::StatusOr<InputFile> file =
        InputFile::Open(Create("x.safetensors", contents));
    if (!file.ok()) return file.status();
    return ReadSafetensors(*file, name);
  }

  /// The status of reading these contents, without the path before it.
  std::string ReadFault(
      const std::string& contents,
      const std::optional<std::string>& name = std::nullopt) const {
    return FaultBehind(Path("x.safetensors"), Read(contents, name).status());
  }

  /// The same with 16 bytes behind the header.
  std::string HeaderFault(const std::string& header) const {
    return ReadFault(File(header, kElements));
  }
};

TEST_F(Safetensors, IsReadInEveryElementType) {
  struct Case {
    std::string dtype, shape;
    DataType expected_dtype;
    Shape expected_shape;
  };
  const std::vector<Case> cases = {
      {"F16", "[2, 4]", DataType::kFloat16, {2, 4}},
      {"F32", "[4]", DataType::kFloat32, {4}},
      {"F64", "[1, 2]", DataType::kFloat64, {1, 2}},
      {"BF16", "[8, 1]", DataType::kBfloat16, {8, 1}}};
  for (const Case& one : cases) {
    const absl::StatusOr<OwnedTensor> tensor = Read(File(
        absl::StrCat("{", Entry("x", one.dtype, one.shape, "[0,16]"), "}   "),
        kElements));
    ASSERT_EQ(tensor.status(), absl::OkStatus());
    EXPECT_EQ(tensor->dtype(), one.expected_dtype);
    EXPECT_EQ(tensor->shape(), one.expected_shape);
    EXPECT_EQ(BytesOf(*tensor), kElements);
  }
}

TEST_F(Safetensors, IsReadWithoutElementsAndWithoutAxes) {
  const std::string empty =
      File("{" + Entry("x", "F64", "[3,0]", "[0,0]") + "}", "");
  ASSERT_EQ(Read(empty).status(), absl::OkStatus());
  EXPECT_EQ(Read(empty)->shape(), (Shape{3, 0}));
  const std::string scalar =
      File("{" + Entry("x", "F64", "[]", "[0,8]") + "}", "abcdefgh");
  ASSERT_EQ(Read(scalar).status(), absl::OkStatus());
  EXPECT_EQ(Read(scalar)->shape(), Shape());
}

TEST_F(Safetensors, IsReadByNameBesideOtherTensorsAndMetadata) {
  const std::string file =
      File(absl::StrCat("{", Entry("b", "F32", "[1,2]", "[4,12]"), ",",
                        R"("__metadata__":{"format":"pt"},)",
                        Entry("index", "I64", "[0]", "[16,16]"), ",",
                        Entry("a", "U8", "[4]", "[0,4]"), ",",
                        Entry("c.weight", "BF16", "[2]", "[12,16]"), "}"),
           kElements);
  const absl::StatusOr<OwnedTensor> b = Read(file, "b");
  ASSERT_EQ(b.status(), absl::OkStatus());
  EXPECT_EQ(BytesOf(*b), "efghijkl");
  const absl::StatusOr<OwnedTensor> c = Read(file, "c.weight");
  ASSERT_EQ(c.status(), absl::OkStatus());
  EXPECT_EQ(c->dtype(), DataType::kBfloat16);
  EXPECT_EQ(BytesOf(*c), "mnop");
  EXPECT_EQ(ReadFault(file, "d"),
            R"(no tensor "d"; there are "a", "b", "c.weight", "index")");
  EXPECT_EQ(ReadFault(file),
            "4 tensors, expected one, or its name as in FILE.safetensors:NAME; "
            R"(there are "a", "b", "c.weight", "index")");
  EXPECT_EQ(ReadFault(file, "a"),
            R"(tensor "a": dtype "U8", expected F32, F64, F16 or BF16)");
}

TEST_F(Safetensors, NamesOnlySomeOfManyTensorsAndPrintableOnes) {
  std::string header = "{\"__metadata__\":{}";
  for (const char* const name : {"q", "w", "e", "r", "t", "y"}) {
    absl::StrAppend(&header, ",", Entry(name, "F32", "[0]", "[0,0]"));
  }
  EXPECT_EQ(ReadFault(File(header + "}", "")),
            "6 tensors, expected one, or its name as in FILE.safetensors:NAME; "
            R"(there are "e", "q", "r", "t", "w", ... (6 in all))");
  EXPECT_EQ(ReadFault(File("{}", "")),
            "0 tensors, expected one, or its name as in FILE.safetensors:NAME; "
            "there are none");
  const std::string long_name(200, 'n');
  EXPECT_EQ(ReadFault(File("{}", ""), "\n\x1b" + long_name),
            absl::StrCat("no tensor \"\\n\\033", std::string(98, 'n'),
                         "...\"; there are none"));
}

TEST_F(Safetensors, IsRefusedForItsLength) {
  for (int size = 0; size < 8; ++size) {
    EXPECT_EQ(ReadFault(std::string(size, '\0')),
              "not a .safetensors file: shorter than 8 bytes");
  }
  const std::string file =
      File("{" + Entry("x", "F32", "[4]", "[0,16]") + "}", kElements);
  for (std::size_t size = 8; size < file.size() - kElements.size(); ++size) {
    EXPECT_EQ(ReadFault(file.substr(0, size)), "cut off within its header");
  }
  EXPECT_EQ(ReadFault(std::string("\x01\x00\x00\x01\x00\x00\x00\x00", 8)),
            "a header of 16777217 bytes, expected at most 16777216");
  EXPECT_EQ(
      ReadFault(std::string(8, '\xff')),
      "a header of 18446744073709551615 bytes, expected at most 16777216");
}

TEST_F(Safetensors, IsRefusedWhereItsHeaderIsNotOfThisForm) {
  const std::string start = ", expected { and an object of tensors";
  EXPECT_EQ(HeaderFault(""), "header: begins with \"\"" + start);
  EXPECT_EQ(HeaderFault("[]"), "header: begins with \"[]\"" + start);
  EXPECT_EQ(HeaderFault(" {}"), "header: begins with \" {}\"" + start);
  EXPECT_EQ(HeaderFault("{\"x\":}"), "header: no JSON at byte 6");
  EXPECT_EQ(HeaderFault("{\"x\xff\":1}"), "header: no JSON at byte 4");
  EXPECT_EQ(HeaderFault("{\"x\":1e999}"), "header: no JSON");
  EXPECT_EQ(HeaderFault(R"({"x":7})"),
            R"(tensor "x": 7, expected an object with dtype, shape and )"
            "data_offsets");
  EXPECT_EQ(HeaderFault(R"({"x":{"dtype":"F32","shape":[4]}})"),
            R"(tensor "x": {"dtype":"F32","shape":[4]}, expected an object )"
            "with dtype, shape and data_offsets");
  EXPECT_EQ(HeaderFault(R"({"x":{"dtype":4,"shape":[],"data_offsets":[]}})"),
            R"(tensor "x": dtype 4, expected a text)");
  EXPECT_EQ(
      HeaderFault(R"({"__metadata__":{"step":7}})"),
      R"(header: __metadata__ {"step":7}, expected an object of strings)");
  EXPECT_EQ(HeaderFault(R"({"__metadata__":[]})"),
            "header: __metadata__ [], expected an object of strings");
}

TEST_F(Safetensors, IsRefusedForWhatAParserMaySkip) {
  const std::string header = "{" + Entry("x", "F32", "[4]", "[0,16]") + "}";
  ASSERT_EQ(Read(File(header, kElements)).status(), absl::OkStatus());
  EXPECT_EQ(HeaderFault("\xef\xbb\xbf" + header),
            "header: begins with \"\\357\\273\\277{\\\"x\\\":\", expected { "
            "and an object of tensors");
  for (const std::string behind : {"", "   ", "{", "{}"}) {
    EXPECT_EQ(HeaderFault(absl::StrCat(header, std::string(1, '\0'), behind)),
              absl::StrCat("header: no JSON at byte ", header.size() + 1));
  }
}

TEST_F(Safetensors, ShowsNothingButPrintableCharactersOfIt) {
  // Latin letters, what a terminal takes for a command, and a right-to-left
  // mark.
  const std::string name = "\u00e9\u009b2J\u200f\x7f";
  EXPECT_EQ(HeaderFault("{\"" + name + "\":7}"),
            "tensor \"\\303\\251\\302\\2332J\\342\\200\\217\\177\": 7, "
            "expected an object with dtype, shape and data_offsets");
  const std::string expected =
      ", expected an object with dtype, shape and data_offsets";
  // Nothing is cut within an escape, wherever that lies.
  EXPECT_EQ(
      HeaderFault(R"({"x":")" + std::string(57, 'v') + "\u00e9\"}"),
      absl::StrCat(R"(tensor "x": ")", std::string(57, 'v'), "...", expected));
  EXPECT_EQ(
      HeaderFault(R"({"x":")" + std::string(58, 'v') + R"(\\\\"})"),
      absl::StrCat(R"(tensor "x": ")", std::string(58, 'v'), "...", expected));
  EXPECT_EQ(HeaderFault(R"({"x":")" + std::string(53, 'v') + "\u00e9vv\"}"),
            absl::StrCat(R"(tensor "x": ")", std::string(53, 'v'), R"(\u00e9)",
                         "...", expected));
}

TEST_F(Safetensors, IsRefusedWhereAKeyComesTwice) {
  const std::string x = Entry("x", "F32", "[4]", "[0,16]");
  EXPECT_EQ(HeaderFault("{" + x + "," + x + "}"),
            R"(header: key "x", expected once, comes twice)");
  EXPECT_EQ(HeaderFault(R"({"x":{"dtype":"F32","dtype":"F16","shape":[4],)"
                        R"("data_offsets":[0,16]}})"),
            R"(header: key "dtype", expected once, comes twice)");
}

TEST_F(Safetensors, IsRefusedWhereItsHeaderIsNestedTooDeep) {
  const std::string deep =
      "header: nested deeper than the entries of a tensor are";
  EXPECT_EQ(HeaderFault("{" + Entry("x", "F64", "[[2]]", "[0,16]") + "}"),
            deep);
  EXPECT_EQ(HeaderFault("{\"x\":" + std::string(1 << 20, '[') +
                        std::string(1 << 20, ']') + "}"),
            deep);
  EXPECT_EQ(HeaderFault(R"({"x":[{"y":{"z":{}}},{"y":1,"y":1}]})"), deep);
  EXPECT_EQ(HeaderFault(R"({"x":{"shape":{}}})"), deep);
}

TEST_F(Safetensors, IsRefusedForItsShape) {
  const auto fault = [&](const std::string& dtype, const std::string& shape) {
    return HeaderFault("{" + Entry("x", dtype, shape, "[0,16]") + "}");
  };
  const std::string expected = ", expected whole numbers of 0 or more";
  for (const std::string shape :
       {"4", "\"4\"", "null", "[-1]", "[4.0]", "[\"4\"]", "[[]]",
        "[9223372036854775808]", "[18446744073709551615]"}) {
    EXPECT_EQ(fault("F32", shape),
              absl::StrCat("tensor \"x\": shape ", shape, expected));
  }
  EXPECT_EQ(fault("F32", "[4611686018427387904,4]"),
            "tensor \"x\": shape: [4611686018427387904, 4], expected a product "
            "below 2^60 (zeros counted as ones)");
  EXPECT_EQ(fault("F32", "[5]"),
            "tensor \"x\": 16 bytes of elements, expected 20 for FLOAT32 [5]");
  EXPECT_EQ(fault("BF16", "[4]"),
            "tensor \"x\": 16 bytes of elements, expected 8 for BFLOAT16 [4]");
  for (const std::string dtype : {"F8_E4M3", "f32", "", "I64"}) {
    EXPECT_EQ(fault(dtype, "[4]"),
              absl::StrCat("tensor \"x\": dtype \"", dtype,
                           "\", expected F32, F64, F16 or BF16"));
  }
}

TEST_F(Safetensors, IsRefusedForItsOffsets) {
  const auto fault = [&](const std::string& offsets) {
    return HeaderFault("{" + Entry("x", "F32", "[4]", offsets) + "}");
  };
  const std::string expected =
      ", expected a begin and an end, two whole numbers of 0 or more";
  for (const std::string offsets :
       {"16", "[]", "[16]", "[0,8,16]", "[-1,15]", "[16,0]", "[0,16.0]",
        "[0,99999999999999999999]"}) {
    // As a number beyond 64 bits is shown again, it is rounded.
    EXPECT_THAT(fault(offsets), AllOf(StartsWith("tensor \"x\": data_offsets "),
                                      EndsWith(expected)));
  }
  EXPECT_EQ(fault("[0,20]"),
            "tensor \"x\": data_offsets end at 20, expected at most the 16 "
            "bytes that the file has");
  EXPECT_EQ(fault("[4,16]"),
            "tensor \"x\": data_offsets begin at 4, expected 0, where the data "
            "begin");
  EXPECT_EQ(fault("[0,12]"),
            "header: its tensors end at byte 12 of the data, expected all of "
            "the 16 bytes that the file has");
  for (const int begin : {4, 12}) {  // An overlap, and a hole.
    EXPECT_EQ(
        HeaderFault(absl::StrCat(
            "{", Entry("y", "F32", "[1]", absl::StrCat("[", begin, ",16]")),
            ",", Entry("x", "F32", "[2]", "[0,8]"), "}")),
        absl::StrCat("tensor \"y\": data_offsets begin at ", begin,
                     ", expected 8, where tensor \"x\" ends"));
  }
}

TEST_F(Safetensors, HasAPreambleThatOthersWrite) {
  const std::string header =
      R"({"output":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}})";
  EXPECT_EQ(SafetensorsPreamble("output", DataType::kFloat16, {2, 3}),
            File(header + std::string((8 - header.size() % 8) % 8, ' '), ""));
  EXPECT_EQ(
      SafetensorsPreamble("a \"b\"", DataType::kBfloat16, {}).substr(8, 11),
      R"({"a \"b\"":)");
}

}  // namespace
}  // namespace groupnorm::cli
