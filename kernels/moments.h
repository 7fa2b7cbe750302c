#ifndef GROUPNORM_KERNELS_MOMENTS_H_
#define GROUPNORM_KERNELS_MOMENTS_H_

#include <cstdint>

#include "kernels/lane_sums.h"

namespace groupnorm {

/// What is known of a set of values: their mean, as an unevaluated sum of two
/// doubles (so that it stays right to far below the spread of the values
/// wherever they lie), and the sum of their squared deviations from it.
///
/// A set that holds a NaN or an infinity has a NaN `m2`; its mean is then
/// unspecified.
struct Moments {
  double mean = 0;     ///< The exact sum of both, rounded to double.
  double mean_lo = 0;  ///< The rest.
  double m2 = 0;       ///< 0 or more.
};

/// The moments of `count` values x from the sums of x - base (first) and of
/// (x - pivot)^2 (second).
Moments MomentsFromSums(std::int64_t count, double base, double pivot,
                        const CompensatedPair& sums);

/// The moments of the union of a set of `count_a` values and one of `count_b`
/// (T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise
/// algorithm for computing sample variances", 1979). Both counts 1 or more.
Moments Merge(std::int64_t count_a, const Moments& a, std::int64_t count_b,
              const Moments& b);

/// The statistics of a group: what normalization needs of its moments.
struct Statistics {
  double mean = 0;
  double mean_lo = 0;  ///< 0 where the statistics are given.
  double rstd = 0;
};

/// rstd = 1 / sqrt(m2 / count + epsilon). All NaN where m2 is NaN.
Statistics StatisticsFromMoments(std::int64_t count, const Moments& moments,
                                 double epsilon);

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_MOMENTS_H_
