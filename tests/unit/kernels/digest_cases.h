#ifndef GROUPNORM_TESTS_UNIT_KERNELS_DIGEST_CASES_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_DIGEST_CASES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "groupnorm/dtype.h"
#include "tests/unit/kernels/kernel_data.h"
#include "tests/unit/kernels/kernel_run.h"

/// The fixed requests whose results' digests tests/digests.txt holds. Their
/// data come from integers by exact operations alone, so they are the same on
/// every machine.
namespace groupnorm {

enum class DigestValues {
  kBenign,       ///< Standard deviation 1.15, mean 0.
  kMean1e3,      ///< The same about a mean.
  kMean1e5,      ///< Likewise.
  kHuge,         ///< Near 1e30.
  kTiny,         ///< Near 1e-30.
  kSubnormal,    ///< In the element type.
  kOutlier,      ///< One value of 1e6.
  kConstant,     ///< All values equal.
  kNotFinite,    ///< One NaN or infinity in a group.
  kTwoClusters,  ///< About two means 4 deviations apart, channel by channel.
  kWideRange,    ///< Magnitudes 2^37 apart: float64 rounds sums and squares.
  kFarZeros      ///< Mean 1e3, and a few tiny values: so do sums about it.
};

enum class DigestOption {
  kPlain,     ///< Any weight and bias, the usual epsilon, all gradients.
  kIdentity,  ///< Ones and zeros, as where both are absent.
  kZeroWeight,
  kEpsilonZero,
  kStatisticsGiven,
  kFrozen,  ///< Given, and frozen in Backward.
  kPerSample,
  kWideWeights  ///< And biases: float64 beside float32 arithmetic.
};

struct DigestCase {
  DataType dtype;
  Layout layout;
  Extents extents;
  DigestValues values = DigestValues::kBenign;
  DigestOption option = DigestOption::kPlain;

  /// Without spaces; no two cases have the same.
  std::string Name() const;
  std::int64_t num_elements() const;
};

/// All of them, in the order of the file.
std::vector<DigestCase> DigestCases();

ForwardCase ForwardOf(const DigestCase& digest_case);

/// Its input, weight, epsilon and given statistics are those of ForwardOf.
BackwardCase BackwardOf(const DigestCase& digest_case);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_DIGEST_CASES_H_
