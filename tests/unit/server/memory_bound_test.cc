#include "server/memory_bound.h"

#include <gtest/gtest.h>

#include <limits>

namespace groupnorm {
namespace {

constexpr std::int64_t kKibibyte = 1 << 10;
constexpr std::int64_t kMebibyte = 1 << 20;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

ServerOptions Settings() {
  return {.workers = 4,
          .max_message_bytes = 10 * kMebibyte,
          .max_queued_calls = 100,
          .max_queued_bytes = 50 * kMebibyte,
          .max_reading_calls = 3};
}

TEST(MemoryBound, AddsItsTerms) {
  const MemoryBound bound = MemoryBoundOf(Settings());
  EXPECT_EQ(bound.transport,
            3 * (10 * kMebibyte + 64 * kKibibyte) +
                100 * (64 * kKibibyte + 64 * kKibibyte) +
                (256 + 64) * (64 * kKibibyte + 64 * kKibibyte) +
                4096 * (32 * kKibibyte) + 1024 * (128 * kKibibyte) +
                10 * kMebibyte);
  EXPECT_EQ(bound.kept, 3 * (10 * kMebibyte + 64 * kKibibyte));
  EXPECT_EQ(bound.queued, 50 * kMebibyte);
  EXPECT_EQ(bound.idle, 20 * kMebibyte);
  EXPECT_EQ(bound.fixed, 52 * kMebibyte);
  EXPECT_EQ(bound.total(), bound.transport + bound.kept + bound.queued +
                               bound.idle + bound.fixed);
}

TEST(MemoryBound, SaturatesWhereItWouldOverflow) {
  ServerOptions options = Settings();
  options.max_queued_calls = std::numeric_limits<int>::max();
  options.max_reading_calls = options.max_queued_calls;
  options.max_message_bytes = options.max_queued_calls;
  options.max_queued_bytes = kMax;
  EXPECT_EQ(MemoryBoundOf(options).total(), kMax);
}

TEST(MemoryBound, SaysItsTermsRoundedUp) {
  EXPECT_EQ(DescribeMemoryBound({.transport = 3 * kMebibyte + 1,
                                 .kept = kMebibyte,
                                 .queued = 2560 * kMebibyte,
                                 .idle = 0,
                                 .fixed = kMebibyte}),
            "at most 2.5 GiB: 4 MiB to receive requests, 2.5 GiB to compute "
            "them, 0 MiB kept for the next ones, 1 MiB kept by the allocator, "
            "1 MiB for the program");
}

TEST(MemoryBound, WarnsWhereThereIsLess) {
  const MemoryBound bound = {.queued = 2048 * kMebibyte, .fixed = kMebibyte};
  EXPECT_EQ(MemoryWarning(bound, 2049 * kMebibyte), "");
  EXPECT_EQ(MemoryWarning(bound, 2048 * kMebibyte),
            "the settings allow 2.0 GiB, this process may use 2.0 GiB; lower "
            "--max-message-bytes, --max-queued-bytes or --max-reading-calls");
  EXPECT_EQ(MemoryWarning(bound, 512 * kMebibyte),
            "the settings allow 2.0 GiB, this process may use 512 MiB; lower "
            "--max-message-bytes, --max-queued-bytes or --max-reading-calls");
}

TEST(MemoryBound, IsComparedWithMemoryThatThereIs) {
  EXPECT_GT(UsableMemoryBytes(), 64 * kMebibyte);
}

}  // namespace
}  // namespace groupnorm
