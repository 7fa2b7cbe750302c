#include "tensor/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace groupnorm {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Capacity of a buffer of this size: what the pool keeps of it.
std::size_t CapacityFor(std::size_t size) {
  BufferPool pool(kNoLimit);
  { const Buffer buffer = pool.Take(size); }
  return pool.idle_bytes();
}

TEST(BufferPoolTest, GivesAlignedMemoryOfTheSizeAskedFor) {
  BufferPool pool(kNoLimit);
  std::vector<Buffer> buffers;
  for (const std::size_t size : {1, 63, 64, 65, 511, 513, 4097, 1 << 20}) {
    Buffer buffer = pool.Take(size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(
        reinterpret_cast<std::uintptr_t>(buffer.data()) % Buffer::kAlignment, 0)
        << size;
    std::memset(buffer.data(), 0x5a, size);
    buffers.push_back(std::move(buffer));
  }
}

TEST(BufferPoolTest, GivesAnEmptyBufferForSizeZero) {
  BufferPool pool(kNoLimit);
  {
    const Buffer buffer = pool.Take(0);
    EXPECT_EQ(buffer.size(), 0);
    EXPECT_EQ(buffer.data(), nullptr);
  }
  EXPECT_EQ(pool.idle_bytes(), 0);
}

TEST(BufferPoolTest, RoundsCapacitiesUpByLessThanAnEighth) {
  for (std::size_t size = 1; size < 20'000; ++size) {
    const std::size_t capacity = CapacityFor(size);
    ASSERT_EQ(capacity % Buffer::kAlignment, 0) << size;
    ASSERT_GE(capacity, size);
    ASSERT_TRUE(capacity - size < Buffer::kAlignment ||
                (capacity - size) * 8 < size)
        << size << " took " << capacity;
  }
}

TEST(BufferPoolTest, ThrowsForWhatNoMachineHas) {
  BufferPool pool(kNoLimit);
  EXPECT_THROW(pool.Take(kNoLimit), std::bad_alloc);
  EXPECT_THROW(pool.Take(kNoLimit / 2 + 1), std::bad_alloc);
}

TEST(BufferPoolTest, GivesReleasedMemoryAgainToSimilarSizes) {
  BufferPool pool(kNoLimit);
  const std::byte* data = nullptr;
  {
    const Buffer buffer = pool.Take(100'000);
    data = buffer.data();
    EXPECT_EQ(pool.idle_bytes(), 0);
  }
  EXPECT_GE(pool.idle_bytes(), 100'000);
  const Buffer again = pool.Take(100'001);
  EXPECT_EQ(again.data(), data);
  EXPECT_EQ(again.size(), 100'001);
  EXPECT_EQ(pool.idle_bytes(), 0);
}

TEST(BufferPoolTest, GivesTheMemoryThatWasReleasedLast) {
  BufferPool pool(kNoLimit);
  Buffer first = pool.Take(4096);
  Buffer second = pool.Take(4096);
  const std::byte* const second_data = second.data();
  first = Buffer();
  second = Buffer();
  EXPECT_EQ(pool.Take(4096).data(), second_data);
}

TEST(BufferPoolTest, DoesNotGiveMemoryInUse) {
  BufferPool pool(kNoLimit);
  const Buffer first = pool.Take(4096);
  const Buffer second = pool.Take(4096);
  EXPECT_NE(first.data(), second.data());
}

TEST(BufferPoolTest, KeepsNothingWithoutRoom) {
  BufferPool pool(0);
  { const Buffer buffer = pool.Take(64); }
  EXPECT_EQ(pool.idle_bytes(), 0);
}

TEST(BufferPoolTest, KeepsNothingLargerThanItsRoom) {
  BufferPool pool(8192);
  { const Buffer buffer = pool.Take(4096); }
  { const Buffer buffer = pool.Take(16384); }
  EXPECT_EQ(pool.idle_bytes(), 4096);
}

TEST(BufferPoolTest, FreesWhatHasBeenIdleLongest) {
  BufferPool pool(8192);
  Buffer oldest = pool.Take(4096);
  Buffer middle = pool.Take(2048);
  Buffer newest = pool.Take(4096);
  const std::byte* const middle_data = middle.data();
  const std::byte* const newest_data = newest.data();
  oldest = Buffer();
  middle = Buffer();
  EXPECT_EQ(pool.idle_bytes(), 6144);
  newest = Buffer();
  EXPECT_EQ(pool.idle_bytes(), 6144);
  const Buffer again = pool.Take(4096);
  EXPECT_EQ(again.data(), newest_data);
  EXPECT_EQ(pool.Take(2048).data(), middle_data);
}

TEST(BufferTest, MovesItsMemory) {
  BufferPool pool(kNoLimit);
  Buffer source = pool.Take(1000);
  std::byte* const data = source.data();
  Buffer target = std::move(source);
  EXPECT_EQ(target.data(), data);
  EXPECT_EQ(target.size(), 1000);
  EXPECT_EQ(source.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(source.size(), 0);
  EXPECT_EQ(pool.idle_bytes(), 0);

  target = pool.Take(3000);
  EXPECT_EQ(pool.idle_bytes(), 1024);  // What it held before.
  Buffer& same = target;
  target = std::move(same);
  EXPECT_EQ(target.size(), 3000);
}

TEST(BufferTest, OutlivesItsPool) {
  auto pool = std::make_unique<BufferPool>(kNoLimit);
  Buffer first = pool->Take(4096);
  const Buffer second = pool->Take(4096);
  pool.reset();
  std::memset(first.data(), 1, first.size());
  first = Buffer();
}

TEST(BufferPoolTest, ServesManyThreads) {
  constexpr int kThreads = 4;
  static constexpr std::size_t kRoom = 64 << 10;
  BufferPool pool(kRoom);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&pool, thread] {
      const auto mark = static_cast<std::byte>(thread);
      for (std::size_t i = 0; i < 2000; ++i) {
        Buffer buffer = pool.Take(64 + (i * 7919) % 20'000);
        std::memset(buffer.data(), thread, buffer.size());
        Buffer kept = std::move(buffer);
        EXPECT_EQ(kept.data()[0], mark);
        EXPECT_EQ(kept.data()[kept.size() - 1], mark);
        EXPECT_LE(pool.idle_bytes(), kRoom);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(pool.idle_bytes(), 0);
  EXPECT_LE(pool.idle_bytes(), kRoom);
}

}  // namespace
}  // namespace groupnorm
