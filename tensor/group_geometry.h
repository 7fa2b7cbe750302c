#ifndef GROUPNORM_TENSOR_GROUP_GEOMETRY_H_
#define GROUPNORM_TENSOR_GROUP_GEOMETRY_H_

#include <cstdint>

#include "groupnorm/shape.h"

namespace groupnorm {

/// How a tensor falls into (sample, group)s: everything that the arithmetic has
/// to know of a shape.
///
/// Invariants: every extent is 0 or more, channels and num_groups are 1 or
/// more, num_groups divides channels, and all products below fit an int64_t.
struct GroupGeometry {
  Layout layout = Layout::kChannelsFirst;
  std::int64_t batch = 0;
  std::int64_t channels = 1;
  std::int64_t spatial = 0;  ///< Product of the spatial extents; 1 if none.
  std::int64_t num_groups = 1;

  /// Channels per group.
  std::int64_t group_size() const { return channels / num_groups; }

  /// Values over which one mean is taken.
  std::int64_t values_per_group() const { return group_size() * spatial; }

  std::int64_t num_elements() const { return batch * channels * spatial; }

  /// Precondition: a rank of 2 or more, num_groups divides the channel extent.
  static GroupGeometry Of(const Shape& shape, Layout layout,
                          std::int64_t num_groups);

  friend bool operator==(const GroupGeometry&, const GroupGeometry&) = default;
};

/// The channel extent of a shape of rank 2 or more.
std::int64_t ChannelExtent(const Shape& shape, Layout layout);

}  // namespace groupnorm

#endif  // GROUPNORM_TENSOR_GROUP_GEOMETRY_H_
