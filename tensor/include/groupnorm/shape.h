#ifndef GROUPNORM_SHAPE_H_
#define GROUPNORM_SHAPE_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace groupnorm {

/// Order of the axes in memory. The values are those of `groupnorm.v1.Layout`.
enum class Layout : std::uint8_t {
  kChannelsFirst = 1,  ///< (N, C, *)
  kChannelsLast = 2,   ///< (N, *, C)
};

/// The extents of a tensor, outermost first.
///
/// Holds these invariants: the rank is 0 to 16, no extent is negative, and the
/// product of the extents, zeros counted as ones, times 8 fits an int64_t. So
/// the byte size of a tensor of any element type never overflows.
///
/// A value type of fixed size that allocates nothing; thread-compatible.
class Shape {
 public:
  static constexpr int kMaxRank = 16;

  /// Rank 0: one element.
  Shape() = default;

  /// Checks the invariants. Fails with INVALID_ARGUMENT and a message that
  /// names the offending rank, extent or product, as in "extent -1, expected 0
  /// or more".
  static absl::StatusOr<Shape> Create(std::span<const std::int64_t> extents);

  /// The same for extents that the caller knows to be right: ends the process
  /// where they are not.
  Shape(std::initializer_list<std::int64_t> extents);

  int rank() const { return rank_; }

  /// Precondition: 0 <= axis < rank().
  std::int64_t extent(int axis) const { return extents_[axis]; }

  std::span<const std::int64_t> extents() const {
    return {extents_.data(), static_cast<std::size_t>(rank_)};
  }

  /// Product of the extents; 1 for rank 0.
  std::int64_t num_elements() const { return num_elements_; }

  /// As in "[2, 6, 2, 4]".
  std::string ToString() const;

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  // Extents beyond the rank stay 0, so that the default comparison is right.
  std::array<std::int64_t, kMaxRank> extents_{};
  std::int64_t num_elements_ = 1;
  int rank_ = 0;
};

/// Writes extents as Shape::ToString does, whether they make a shape or not.
std::string ExtentsToString(std::span<const std::int64_t> extents);

}  // namespace groupnorm

#endif  // GROUPNORM_SHAPE_H_
