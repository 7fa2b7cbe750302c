#include "tensor/element.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace groupnorm {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class ElementTest : public testing::TestWithParam<DataType> {
 protected:
  std::size_t size() const { return ElementSize(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(DataTypes, ElementTest, testing::ValuesIn(kDataTypes),
                         [](const auto& tested) {
                           return std::string(DataTypeName(tested.param));
                         });

// Values that every element type holds exactly.
const std::vector<double> kExact = {
    0.0, -0.0, 1.0, -1.5, 0.0078125, 120.0, -32768.0, kInfinity, -kInfinity};

TEST_P(ElementTest, ConvertsBothWaysAtEveryMisalignment) {
  for (std::size_t offset = 0; offset < 8; ++offset) {
    // A byte of 0x5a before and after what may be written.
    std::vector<std::byte> bytes(offset + kExact.size() * size() + 1,
                                 std::byte{0x5a});
    std::byte* const elements = bytes.data() + offset;
    DoublesToElements(GetParam(), kExact, elements);
    EXPECT_EQ(bytes.back(), std::byte{0x5a});
    if (offset > 0) {
      EXPECT_EQ(bytes[offset - 1], std::byte{0x5a});
    }

    std::vector<double> values(kExact.size(), 7.0);
    ElementsToDoubles(GetParam(), elements, values);
    EXPECT_THAT(values, ElementsAreArray(kExact)) << "offset " << offset;
    EXPECT_TRUE(std::signbit(values[1]));
  }
}

TEST_P(ElementTest, AcceptsNullWhereThereIsNoElement) {
  DoublesToElements(GetParam(), {}, nullptr);
  ElementsToDoubles(GetParam(), nullptr, {});
}

TEST_P(ElementTest, KeepsNan) {
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  std::vector<std::byte> bytes(size());
  DoublesToElements(GetParam(), nan, bytes.data());
  std::vector<double> values(1);
  ElementsToDoubles(GetParam(), bytes.data(), values);
  EXPECT_TRUE(std::isnan(values[0]));
}

TEST_P(ElementTest, RoundsToTheNearestElement) {
  const std::vector<double> third = {1.0 / 3.0};
  std::vector<std::byte> bytes(size());
  DoublesToElements(GetParam(), third, bytes.data());
  std::vector<double> values(1);
  ElementsToDoubles(GetParam(), bytes.data(), values);
  switch (GetParam()) {
    case DataType::kFloat32:
      EXPECT_EQ(values[0], 0x1.555556p-2);
      break;
    case DataType::kFloat64:
      EXPECT_EQ(values[0], 0x1.5555555555555p-2);
      break;
    case DataType::kFloat16:
      EXPECT_EQ(values[0], 0x1.554p-2);
      break;
    case DataType::kBfloat16:
      EXPECT_EQ(values[0], 0x1.56p-2);
      break;
  }
}

TEST(Elements, AreLittleEndian) {
  const std::vector<double> one_and_a_half = {1.5};
  std::vector<std::byte> bytes(4);
  DoublesToElements(DataType::kFloat32, one_and_a_half, bytes.data());
  EXPECT_THAT(bytes, ElementsAre(std::byte{0x00}, std::byte{0x00},
                                 std::byte{0xc0}, std::byte{0x3f}));
}

}  // namespace
}  // namespace groupnorm
