#include "client/cli/files/npy_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace groupnorm::cli {
namespace {

using ::testing::ElementsAreArray;

struct RightHeader {
  std::string text;
  std::string descr;
  bool fortran_order;
  std::vector<std::int64_t> shape;
};

TEST(NpyHeader, IsReadHoweverItIsWritten) {
  const std::vector<RightHeader> cases = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }    \n",
       "<f4",
       false,
       {2, 3}},
      {"{'shape':(2,3),'fortran_order':True,'descr':'>f8'}",
       ">f8",
       true,
       {2, 3}},
      {R"({"descr": "<u2", "fortran_order": False, "shape": (7,)})",
       "<u2",
       false,
       {7}},
      {"{'descr': '<f2', 'fortran_order': False, 'shape': ()}",
       "<f2",
       false,
       {}},
      {"{'descr': '<f2', 'fortran_order': False, 'shape': (0L, 12L), }",
       "<f2",
       false,
       {0, 12}},
      {"{ 'descr' : '<f2' ,\n 'fortran_order' : False , 'shape' : ( 1 , 2 , ) "
       "}",
       "<f2",
       false,
       {1, 2}},
      {"{'descr': '', 'fortran_order': False, 'shape': "
       "(9223372036854775807,)}",
       "",
       false,
       {9223372036854775807}}};
  for (const RightHeader& one : cases) {
    const absl::StatusOr<NpyHeader> header = ParseNpyHeader(one.text);
    ASSERT_EQ(header.status(), absl::OkStatus()) << one.text;
    EXPECT_EQ(header->descr, one.descr) << one.text;
    EXPECT_EQ(header->fortran_order, one.fortran_order) << one.text;
    EXPECT_THAT(header->shape, ElementsAreArray(one.shape)) << one.text;
  }
}

TEST(NpyHeader, IsRefusedWithThePlaceOfTheFault) {
  struct Case {
    std::string text, message;
  };
  const std::vector<Case> cases = {
      {"", "header: expected { at character 0"},
      {"[1]", "header: expected { at character 0"},
      {"{", "header: expected a quoted string at character 1"},
      {"{descr", "header: expected a quoted string at character 1"},
      {"{'descr", "header: expected a closing quote at character 2"},
      {"{'descr\": 1", "header: expected a closing quote at character 2"},
      {"{'descr' '<f4'", "header: expected : at character 9"},
      {"{'descr': 4", "header: expected a quoted string at character 10"},
      {"{'descr': [('a', '<f4')]",
       "header: expected a quoted string at character 10"},
      {"{'descr': '<f4' 'shape'", "header: expected } at character 16"},
      {"{'fortran_order': 0", "header: expected True or False at character 18"},
      {"{'shape': 3", "header: expected ( at character 10"},
      {"{'shape': (3", "header: expected ) at character 12"},
      {"{'shape': (3 4)", "header: expected ) at character 13"},
      {"{'shape': (-3,)", "header: expected an extent at character 11"},
      {"{'shape': (,)", "header: expected an extent at character 11"},
      {"{'shape': (9223372036854775808,)",
       "header: expected an extent below 2^63 at character 29"},
      {"{'order': 1}", "header: unknown key 'order'"},
      {"{}", "header: expected the keys descr, fortran_order and shape"},
      {"{'descr': '<f4', 'shape': (1,)}",
       "header: expected the keys descr, fortran_order and shape"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
       "header: expected its end at character 56"}};
  for (const Case& one : cases) {
    EXPECT_EQ(ParseNpyHeader(one.text).status(),
              absl::InvalidArgumentError(one.message))
        << one.text;
  }
}

TEST(NpyPreamble, HoldsWhatWasPutInAndIsAligned) {
  const std::vector<std::pair<DataType, std::string>> dtypes = {
      {DataType::kFloat32, "<f4"},
      {DataType::kFloat64, "<f8"},
      {DataType::kFloat16, "<f2"},
      {DataType::kBfloat16, "<u2"}};
  std::vector<Shape> shapes = {{}, {0}, {5}, {2, 3, 4}};
  // Every length of the dictionary there may be around a border of 64 bytes.
  std::int64_t extent = 1;
  for (int digits = 0; digits < 17; ++digits, extent *= 10) {
    shapes.push_back({1, 1, 1, 1, 1, 1, extent});
  }
  shapes.push_back({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  for (const auto& [dtype, descr] : dtypes) {
    for (const Shape& shape : shapes) {
      const std::string preamble = NpyPreamble(dtype, shape);
      EXPECT_EQ(preamble.size() % 64, 0u) << shape.ToString();
      EXPECT_EQ(preamble.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
      const std::size_t length = static_cast<unsigned char>(preamble[8]) +
                                 256u * static_cast<unsigned char>(preamble[9]);
      EXPECT_EQ(length + 10, preamble.size()) << shape.ToString();
      EXPECT_EQ(preamble.back(), '\n');
      const absl::StatusOr<NpyHeader> header =
          ParseNpyHeader(preamble.substr(10));
      ASSERT_EQ(header.status(), absl::OkStatus()) << preamble.substr(10);
      EXPECT_EQ(header->descr, descr);
      EXPECT_FALSE(header->fortran_order);
      EXPECT_THAT(header->shape, ElementsAreArray(shape.extents()));
    }
  }
}

}  // namespace
}  // namespace groupnorm::cli
