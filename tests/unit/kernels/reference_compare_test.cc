// When a result is right: the roundings and bounds, and Compare's verdicts.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/reference/bounds.h"
#include "kernels/reference/reference.h"
#include "tensor/element.h"

namespace groupnorm::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(ReferenceBounds, RoundToNearestEvenFromLongDoubleInOneStep) {
  // Just above the middle between two bfloat16 numbers, by less than float64
  // can hold: rounding to float64 first would tie, and go down to even.
  const long double above_middle = 1 + 0x1p-8L + 0x1p-60L;
  EXPECT_EQ(RoundToDataType(DataType::kBfloat16, above_middle), 1 + 0x1p-7L);
  EXPECT_EQ(RoundToDataType(DataType::kBfloat16, 1 + 0x1p-8L), 1);
  EXPECT_EQ(RoundToDataType(DataType::kBfloat16, 1 + 3 * 0x1p-8L), 1 + 0x1p-6L);
  EXPECT_EQ(RoundToDataType(DataType::kFloat16, 65519.99L), 65504);
  EXPECT_EQ(RoundToDataType(DataType::kFloat16, 65520), kInfinity);
  EXPECT_EQ(RoundToDataType(DataType::kFloat16, -65520), -kInfinity);
  EXPECT_EQ(RoundToDataType(DataType::kFloat16, 0x1p-25L), 0);
  EXPECT_EQ(RoundToDataType(DataType::kFloat16, 0x1.8p-25L), 0x1p-24L);
}

TEST(ReferenceBounds, AgreeWithTheConversionsOfTheElementTypes) {
  for (const DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    for (std::uint32_t bits = 0; bits < 0x10000; bits += 7) {
      // Numbers of every magnitude that no 16-bit type holds.
      const double value =
          std::ldexp(1 + bits / 65536.0, static_cast<int>(bits % 300) - 150);
      double rounded = 0;
      std::uint16_t element = 0;
      DoublesToElements(dtype, {&value, 1}, &element);
      ElementsToDoubles(dtype, &element, {&rounded, 1});
      EXPECT_EQ(RoundToDataType(dtype, value), rounded) << value;
    }
  }
}

TEST(ReferenceBounds, UnitInLastPlaceStopsAtTheSmallestSubnormal) {
  EXPECT_EQ(UnitInLastPlace(DataType::kFloat32, 1), 0x1p-23L);
  EXPECT_EQ(UnitInLastPlace(DataType::kFloat32, -1.99L), 0x1p-23L);
  EXPECT_EQ(UnitInLastPlace(DataType::kFloat32, 0x1p-140L), 0x1p-149L);
  EXPECT_EQ(UnitInLastPlace(DataType::kFloat32, 0), 0x1p-149L);
  EXPECT_EQ(UnitInLastPlace(DataType::kFloat64, 1), 0x1p-52L);
  EXPECT_EQ(UnitInLastPlace(DataType::kFloat16, 0x1p-20L), 0x1p-24L);
  EXPECT_EQ(UnitInLastPlace(DataType::kBfloat16, 3), 0x1p-6L);
}

// Compare of a single element.
Comparison CompareOne(DataType dtype, long double value, long double bound,
                      double actual) {
  std::array<std::byte, sizeof(double)> element;
  DoublesToElements(dtype, {&actual, 1}, element.data());
  return Compare({dtype, {value}, {bound}}, {dtype, {1}, element.data()});
}

TEST(ReferenceCompare, AcceptsAnErrorOfExactlyTheBoundAndNoMore) {
  const long double ulp = 0x1p-23L;
  const Comparison at_bound =
      CompareOne(DataType::kFloat32, 1, 3 * ulp, 1 + 3 * 0x1p-23);
  EXPECT_TRUE(at_bound.ok());
  EXPECT_EQ(at_bound.max_ulp_error, 3);
  EXPECT_EQ(at_bound.max_bound_ratio, 1);
  EXPECT_EQ(at_bound.max_absolute_error, 3 * ulp);
  const Comparison beyond =
      CompareOne(DataType::kFloat32, 1, 3 * ulp, 1 + 4 * 0x1p-23);
  EXPECT_EQ(beyond.num_wrong, 1);
  EXPECT_GT(beyond.max_bound_ratio, 1);
}

TEST(ReferenceCompare, MeasuresInUnitsOfTheMagnitude) {
  const float actual = 0x1p-23F;
  const Expected expected = {DataType::kFloat32, {0}, {3 * 0x1p-21L}, {4}};
  const Comparison comparison =
      Compare(expected, {DataType::kFloat32, {1}, &actual});
  EXPECT_EQ(comparison.max_ulp_error, 0.25L);
}

TEST(ReferenceCompare, AcceptsOnlyTheRoundingOfANumberWithinTheBound) {
  const long double bound = 3 * 0x1p-24L;
  // 0.99 of the way from 1 to the next bfloat16: truncation gives the lower.
  const long double value = 1 + 0.99L * 0x1p-7L;
  EXPECT_TRUE(CompareOne(DataType::kBfloat16, value, bound, 1 + 0x1p-7).ok());
  const Comparison truncated = CompareOne(DataType::kBfloat16, value, bound, 1);
  EXPECT_FALSE(truncated.ok());
  EXPECT_EQ(truncated.max_bound_ratio, kInfinity);
  EXPECT_LT(truncated.max_ulp_error, 1);
  // Within the bound of the middle either neighbour is right, no third one.
  const long double middle = 1 + 0x1p-8L + bound / 2;
  EXPECT_TRUE(CompareOne(DataType::kBfloat16, middle, bound, 1).ok());
  EXPECT_TRUE(CompareOne(DataType::kBfloat16, middle, bound, 1 + 0x1p-7).ok());
  EXPECT_FALSE(CompareOne(DataType::kBfloat16, middle, bound, 1 + 0x1p-6).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat16, 0.1L, 3 * 0x1p-27L, 0.2).ok());
}

TEST(ReferenceCompare, TellsNanFromNumbersBothWays) {
  EXPECT_TRUE(CompareOne(DataType::kFloat32, kNan, 0, kNan).ok());
  const Comparison number_for_nan = CompareOne(DataType::kFloat32, kNan, 0, 1);
  EXPECT_FALSE(number_for_nan.ok());
  EXPECT_EQ(number_for_nan.max_absolute_error, kInfinity);
  EXPECT_FALSE(CompareOne(DataType::kFloat32, kNan, 0, kInfinity).ok());
  for (const DataType dtype : kDataTypes) {
    EXPECT_FALSE(CompareOne(dtype, 1, 1, kNan).ok()) << DataTypeName(dtype);
  }
}

TEST(ReferenceCompare, WantsTheSameInfinityUnlessTheBoundIsInfinite) {
  EXPECT_TRUE(CompareOne(DataType::kFloat64, kInfinity, 0, kInfinity).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat64, kInfinity, 0, -kInfinity).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat64, kInfinity, 0, 1e308).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat64, kInfinity, 0, kNan).ok());
  EXPECT_TRUE(CompareOne(DataType::kFloat64, kInfinity, kInfinity, kNan).ok());
  EXPECT_TRUE(CompareOne(DataType::kFloat64, kNan, kInfinity, -kInfinity).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat64, kNan, kInfinity, 1).ok());
}

TEST(ReferenceCompare, AcceptsInfinityWhereTheValueMayRoundToIt) {
  constexpr double kMax = std::numeric_limits<float>::max();
  const long double ulp = 0x1p104L;
  EXPECT_TRUE(CompareOne(DataType::kFloat32, 1e39L, 1, kInfinity).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat32, 1e39L, 1, -kInfinity).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat32, 1e39L, 1, kMax).ok());
  EXPECT_TRUE(CompareOne(DataType::kFloat32, kMax, ulp, kInfinity).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat32, kMax, ulp / 4, kInfinity).ok());
  EXPECT_TRUE(CompareOne(DataType::kFloat16, -65520, 1, -kInfinity).ok());
  EXPECT_TRUE(CompareOne(DataType::kFloat16, -65520, 1, -65504).ok());
  EXPECT_FALSE(CompareOne(DataType::kFloat16, -65530, 1, -65504).ok());
}

TEST(ReferenceCompare, NamesTheFirstWrongElementAndCountsThem) {
  const std::vector<float> actual = {1, 2, 3, 5};
  const Comparison comparison =
      Compare({DataType::kFloat32, {1, 1, 3, 4}, {0, 0, 0, 0}},
              {DataType::kFloat32, {4}, actual.data()});
  EXPECT_EQ(comparison.num_wrong, 2);
  EXPECT_EQ(comparison.first_wrong, 1);
  EXPECT_EQ(comparison.max_absolute_error, 1);
}

}  // namespace
}  // namespace groupnorm::reference
