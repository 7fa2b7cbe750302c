#include "groupnorm/tune_process_memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>

#include "tests/testing/sanitized.h"

namespace groupnorm {
namespace {

// The sanitizers bring an allocator of their own, which has no such settings.
constexpr bool kIsOwnAllocator = kSanitized;

constexpr std::size_t kLarge = 128 << 20;

TEST(TuneProcessMemory, KeepsLargeBlocksInTheHeap) {
  TuneProcessMemory();
  if (kIsOwnAllocator) GTEST_SKIP() << "not glibc's allocator";
  const std::size_t mapped = mallinfo2().hblks;
  void* const block = std::malloc(kLarge);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(mallinfo2().hblks, mapped);
  const std::size_t heap = mallinfo2().arena;
  std::free(block);
  // Not returned: it stays in the heap, free for the next one.
  EXPECT_EQ(mallinfo2().arena, heap);
  EXPECT_GE(mallinfo2().fordblks, kLarge);
}

}  // namespace
}  // namespace groupnorm
