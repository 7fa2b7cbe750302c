#ifndef GROUPNORM_KERNELS_REFERENCE_STATISTICS_H_
#define GROUPNORM_KERNELS_REFERENCE_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "groupnorm/tensor_view.h"
#include "tensor/group_geometry.h"

namespace groupnorm::reference {

/// The elements of a tensor, in its order.
std::vector<double> ToDoubles(const TensorView& tensor);

/// Those of a tensor that may be absent: then `size` times `otherwise`.
std::vector<double> ToDoublesOr(const std::optional<TensorView>& tensor,
                                std::int64_t size, double otherwise);

/// Where the value of a sample, a channel and a spatial position lies.
std::size_t ElementIndex(const GroupGeometry& geometry, std::int64_t sample,
                         std::int64_t channel, std::int64_t position);

/// Mean and rstd of one (sample, group).
///
/// The mean is kept as two terms, of which the first is near the values, so
/// that subtracting it from them loses nothing at means of any size.
struct Statistics {
  long double pivot = 0;
  long double mean_minus_pivot = 0;
  long double variance = 0;  ///< Unused where the statistics are given.
  long double rstd = 0;

  long double mean() const { return pivot + mean_minus_pivot; }

  /// (x - mean) rstd.
  long double Normalize(long double x) const {
    return ((x - pivot) - mean_minus_pivot) * rstd;
  }
};

/// The statistics of every (sample, group), samples outermost: those given, as
/// they are, or those of the input. Computed ones are NaN for a group with a
/// value that is not finite; mean 0, rstd NaN for one without values.
std::vector<Statistics> GroupStatistics(const GroupGeometry& geometry,
                                        double epsilon,
                                        std::span<const double> input,
                                        const std::optional<TensorView>& mean,
                                        const std::optional<TensorView>& rstd);

/// Root mean square of the values added to it, those that are not finite left
/// out: one of them must not make a bound meaningless for its neighbours.
class RootMeanSquare {
 public:
  void Add(long double value);
  long double Get() const;  ///< 0 where nothing was added.

 private:
  long double sum_of_squares_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace groupnorm::reference

#endif  // GROUPNORM_KERNELS_REFERENCE_STATISTICS_H_
