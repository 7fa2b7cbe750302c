#ifndef GROUPNORM_TESTS_UNIT_KERNELS_COUNTED_ALLOCATIONS_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_COUNTED_ALLOCATIONS_H_

#include <cstdint>

namespace groupnorm {

/// How often this program, which replaces operator new, has called it. In a
/// source of its own: inlined, its free() looks like a mistake to g++.
std::int64_t NumAllocations();

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_COUNTED_ALLOCATIONS_H_
