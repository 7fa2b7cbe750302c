#ifndef GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_DATA_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_DATA_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/kernels/kernel_run.h"

namespace groupnorm {

/// The value of an element, from the channel and a source of randomness.
using Distribution =
    std::function<double(std::int64_t channel, std::mt19937_64& random)>;

Distribution Normal(double mean, double std);

struct Extents {
  std::int64_t batch;
  std::int64_t channels;
  std::int64_t spatial;
  std::int64_t num_groups;
};

inline constexpr Layout kLayouts[] = {Layout::kChannelsFirst,
                                      Layout::kChannelsLast};

GroupGeometry Geometry(Layout layout, const Extents& extents);

/// Fills in everything: the input from `x`, weight, bias and grad_output near
/// normal, from a fixed seed.
ForwardCase RandomForward(DataType dtype, const GroupGeometry& geometry,
                          const Distribution& x = Normal(0, 1));
BackwardCase RandomBackward(DataType dtype, const GroupGeometry& geometry,
                            const Distribution& x = Normal(0, 1));

/// Gives the case statistics that are near those of its input, as exact.
void GiveStatistics(KernelInputs& c);

/// For SCOPED_TRACE.
std::string Describe(const KernelInputs& c);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_KERNEL_DATA_H_
