#include "tensor/group_geometry.h"

#include <gtest/gtest.h>

namespace groupnorm {
namespace {

TEST(GroupGeometryTest, ReadsChannelsFirst) {
  const GroupGeometry geometry =
      GroupGeometry::Of({2, 6, 3, 5}, Layout::kChannelsFirst, 3);
  EXPECT_EQ(geometry.layout, Layout::kChannelsFirst);
  EXPECT_EQ(geometry.batch, 2);
  EXPECT_EQ(geometry.channels, 6);
  EXPECT_EQ(geometry.spatial, 15);
  EXPECT_EQ(geometry.num_groups, 3);
  EXPECT_EQ(geometry.group_size(), 2);
  EXPECT_EQ(geometry.values_per_group(), 30);
  EXPECT_EQ(geometry.num_elements(), 180);
}

TEST(GroupGeometryTest, ReadsChannelsLast) {
  const GroupGeometry geometry =
      GroupGeometry::Of({2, 3, 5, 6}, Layout::kChannelsLast, 6);
  EXPECT_EQ(geometry.layout, Layout::kChannelsLast);
  EXPECT_EQ(geometry.batch, 2);
  EXPECT_EQ(geometry.channels, 6);
  EXPECT_EQ(geometry.spatial, 15);
  EXPECT_EQ(geometry.group_size(), 1);
  EXPECT_EQ(geometry.values_per_group(), 15);
  EXPECT_EQ(geometry.num_elements(), 180);
}

TEST(GroupGeometryTest, CountsOnePositionWhereThereAreNoSpatialAxes) {
  for (const Layout layout : {Layout::kChannelsFirst, Layout::kChannelsLast}) {
    const GroupGeometry geometry = GroupGeometry::Of({4, 8}, layout, 2);
    EXPECT_EQ(geometry.batch, 4);
    EXPECT_EQ(geometry.channels, 8);
    EXPECT_EQ(geometry.spatial, 1);
    EXPECT_EQ(geometry.values_per_group(), 4);
  }
}

TEST(GroupGeometryTest, CountsEmptyAxes) {
  const GroupGeometry no_samples =
      GroupGeometry::Of({0, 6, 7}, Layout::kChannelsFirst, 2);
  EXPECT_EQ(no_samples.values_per_group(), 21);
  EXPECT_EQ(no_samples.num_elements(), 0);

  const GroupGeometry no_positions = GroupGeometry::Of(
      {std::int64_t{1} << 40, 0, 7, 2}, Layout::kChannelsLast, 2);
  EXPECT_EQ(no_positions.spatial, 0);
  EXPECT_EQ(no_positions.values_per_group(), 0);
  EXPECT_EQ(no_positions.num_elements(), 0);
}

TEST(GroupGeometryTest, HoldsTheLargestShape) {
  const std::int64_t largest = (std::int64_t{1} << 60) - 1;
  const GroupGeometry geometry =
      GroupGeometry::Of({1, 1, largest}, Layout::kChannelsFirst, 1);
  EXPECT_EQ(geometry.values_per_group(), largest);
  EXPECT_EQ(geometry.num_elements(), largest);
}

TEST(ChannelExtentTest, IsTheSecondOrTheLast) {
  EXPECT_EQ(ChannelExtent({2, 6, 3, 5}, Layout::kChannelsFirst), 6);
  EXPECT_EQ(ChannelExtent({2, 6, 3, 5}, Layout::kChannelsLast), 5);
  EXPECT_EQ(ChannelExtent({2, 6}, Layout::kChannelsFirst), 6);
  EXPECT_EQ(ChannelExtent({2, 6}, Layout::kChannelsLast), 6);
}

}  // namespace
}  // namespace groupnorm
