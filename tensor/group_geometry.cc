#include "tensor/group_geometry.h"

namespace groupnorm {

std::int64_t ChannelExtent(const Shape& shape, Layout layout) {
  return shape.extent(layout == Layout::kChannelsLast ? shape.rank() - 1 : 1);
}

GroupGeometry GroupGeometry::Of(const Shape& shape, Layout layout,
                                std::int64_t num_groups) {
  GroupGeometry geometry;
  geometry.layout = layout;
  geometry.batch = shape.extent(0);
  geometry.channels = ChannelExtent(shape, layout);
  geometry.num_groups = num_groups;
  geometry.spatial = 1;
  const int first = layout == Layout::kChannelsLast ? 1 : 2;
  for (int axis = first; axis < first + shape.rank() - 2; ++axis) {
    geometry.spatial *= shape.extent(axis);
  }
  return geometry;
}

}  // namespace groupnorm
