#include "groupnorm/shape.h"

#include <cstdlib>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace groupnorm {

namespace {

// Bytes of the largest element type, which every shape must be able to count.
constexpr std::int64_t kLargestElement = 8;

}  // namespace

absl::StatusOr<Shape> Shape::Create(std::span<const std::int64_t> extents) {
  if (extents.size() > kMaxRank) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", extents.size(), ", expected at most ", kMaxRank));
  }
  Shape shape;
  std::int64_t bytes = kLargestElement;
  for (const std::int64_t extent : extents) {
    if (extent < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("extent ", extent, ", expected 0 or more"));
    }
    const std::int64_t factor = extent == 0 ? 1 : extent;
    if (factor > std::numeric_limits<std::int64_t>::max() / bytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          ExtentsToString(extents),
          ", expected a product below 2^60 (zeros counted as ones)"));
    }
    bytes *= factor;
    shape.num_elements_ *= extent;
    shape.extents_[shape.rank_++] = extent;
  }
  return shape;
}

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  absl::StatusOr<Shape> shape =
      Create(std::span<const std::int64_t>(extents.begin(), extents.size()));
  if (!shape.ok()) std::abort();
  *this = *shape;
}

std::string Shape::ToString() const { return ExtentsToString(extents()); }

std::string ExtentsToString(std::span<const std::int64_t> extents) {
  return absl::StrCat("[", absl::StrJoin(extents.begin(), extents.end(), ", "),
                      "]");
}

}  // namespace groupnorm
