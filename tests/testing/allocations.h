#ifndef GROUPNORM_TESTS_TESTING_ALLOCATIONS_H_
#define GROUPNORM_TESTS_TESTING_ALLOCATIONS_H_

#include <cstddef>
#include <cstdint>

/// Replaces operator new in the programs that link it. In a source of its own:
/// inlined, its free() looks like a mistake to g++.
namespace groupnorm {

/// How often the program has called operator new.
std::int64_t NumAllocations();

/// While it lives, the machine has no memory for one call of operator new by
/// this thread: for that which follows `before` others. One at a time.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::int64_t before);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  /// Whether that call has come.
  bool failed() const;
};

/// From now on no call of operator new, by any thread, gets more than this.
void LimitAllocations(std::size_t max_bytes);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_ALLOCATIONS_H_
