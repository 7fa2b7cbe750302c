#ifndef GROUPNORM_KERNELS_MOMENTS_H_
#define GROUPNORM_KERNELS_MOMENTS_H_

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

/// The statistics of a group: what normalization needs of its moments.
struct Statistics {
  double mean = 0;
  double mean_lo = 0;   ///< 0 where the statistics are given.
  double rstd = 0;      ///< 1 / sqrt(variance + epsilon).
  double variance = 0;  ///< 0 where the statistics are given.
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_MOMENTS_H_
