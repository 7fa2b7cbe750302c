#include "server/options.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdint>
#include <limits>

namespace groupnorm {
namespace {

TEST(ServerOptions, DefaultsAreValid) {
  EXPECT_EQ(Validate(ServerOptions()), absl::OkStatus());
}

TEST(ServerOptions, RejectsANumberOutOfRange) {
  EXPECT_EQ(Validate({.workers = -1}),
            absl::InvalidArgumentError("--workers: -1, expected 0 to 4096"));
  EXPECT_EQ(Validate({.max_message_bytes = 0}),
            absl::InvalidArgumentError(
                "--max-message-bytes: 0, expected 1 to 2147483647"));
  EXPECT_EQ(Validate({.max_message_bytes = std::int64_t{1} << 31}),
            absl::InvalidArgumentError("--max-message-bytes: 2147483648, "
                                       "expected 1 to 2147483647"));
  EXPECT_EQ(Validate({.max_queued_calls = 0}),
            absl::InvalidArgumentError(
                "--max-queued-calls: 0, expected 1 to 2147483647"));
  EXPECT_EQ(Validate({.max_queued_bytes = 0}),
            absl::InvalidArgumentError("--max-queued-bytes: 0, expected 1 to "
                                       "9223372036854775807"));
  EXPECT_EQ(Validate({.max_reading_calls = -1}),
            absl::InvalidArgumentError(
                "--max-reading-calls: -1, expected 0 to 2147483647"));
}

// Twice that number is none.
TEST(ServerOptions, RejectsTheLargestNumberForAMessage) {
  EXPECT_EQ(
      Validate({.max_message_bytes = std::numeric_limits<std::int64_t>::max()}),
      absl::InvalidArgumentError(
          "--max-message-bytes: 9223372036854775807, expected 1 to "
          "2147483647"));
}

TEST(ServerOptions, ReadTwiceAsManyCallsAsThereAreWorkers) {
  EXPECT_EQ(WithDefaults({.workers = 3}).max_reading_calls, 6);
  EXPECT_EQ(
      WithDefaults({.workers = 3, .max_queued_calls = 4}).max_reading_calls, 4);
  EXPECT_EQ(
      WithDefaults({.workers = 3, .max_reading_calls = 1}).max_reading_calls,
      1);
  EXPECT_EQ(WithDefaults({}).workers, UsableCpus());
}

TEST(ServerOptions, RejectsMoreReadingCallsThanQueuedOnes) {
  EXPECT_EQ(Validate({.max_queued_calls = 8, .max_reading_calls = 9}),
            absl::InvalidArgumentError(
                "--max-reading-calls: 9, expected at most the 8 of "
                "--max-queued-calls, since only calls that were admitted are "
                "read"));
  EXPECT_EQ(Validate({.max_queued_calls = 8, .max_reading_calls = 8}),
            absl::OkStatus());
}

TEST(ServerOptions, RejectsQueuedBytesThatHoldNoMessage) {
  EXPECT_EQ(
      Validate({.max_message_bytes = 1000, .max_queued_bytes = 1999}),
      absl::InvalidArgumentError(
          "--max-queued-bytes: 1999, expected at least 2000, the input and the "
          "output of a message of the 1000 bytes of --max-message-bytes"));
  EXPECT_EQ(Validate({.max_message_bytes = 1000, .max_queued_bytes = 2000}),
            absl::OkStatus());
}

TEST(ServerOptions, RejectsATransferTimeoutOfNothingOrForEver) {
  EXPECT_EQ(Validate({.read_timeout = absl::ZeroDuration()}),
            absl::InvalidArgumentError(
                "--read-timeout: 0, expected a time above 0s and below inf"));
  EXPECT_EQ(
      Validate({.write_timeout = absl::InfiniteDuration()}),
      absl::InvalidArgumentError(
          "--write-timeout: inf, expected a time above 0s and below inf"));
}

TEST(ServerOptions, RejectsADrainTimeoutBelowZeroOrForEver) {
  EXPECT_EQ(
      Validate({.drain_timeout = -absl::Seconds(1)}),
      absl::InvalidArgumentError("--drain-timeout: -1s, expected 0s or more"));
  EXPECT_EQ(
      Validate({.drain_timeout = absl::InfiniteDuration()}),
      absl::InvalidArgumentError("--drain-timeout: inf, expected 0s or more"));
}

TEST(ServerOptions, RejectsADrainDelayBelowZeroOrForEver) {
  EXPECT_EQ(
      Validate({.drain_delay = -absl::Seconds(1)}),
      absl::InvalidArgumentError("--drain-delay: -1s, expected 0s or more"));
  EXPECT_EQ(
      Validate({.drain_delay = absl::InfiniteDuration()}),
      absl::InvalidArgumentError("--drain-delay: inf, expected 0s or more"));
}

TEST(ServerOptions, RejectsConnectionsWithoutAge) {
  EXPECT_EQ(Validate({.max_connection_age = absl::Microseconds(999)}),
            absl::InvalidArgumentError(
                "--max-connection-age: 999us, expected 1ms or more, or inf"));
  EXPECT_EQ(Validate({.max_connection_age = absl::Milliseconds(1)}),
            absl::OkStatus());
}

TEST(ServerOptions, NeedsInsecureForAnAddressThatOthersReach) {
  EXPECT_EQ(
      Validate({.listen = {"unix:/x", "0.0.0.0:50051"}}),
      absl::InvalidArgumentError(
          "--listen: '0.0.0.0:50051' can be reached from other machines, "
          "expected a loopback address or unix:path; --insecure allows it "
          "without encryption"));
  EXPECT_EQ(Validate({.listen = {"0.0.0.0:50051"}, .insecure = true}),
            absl::OkStatus());
}

TEST(ServerOptions, NeedsAnAddress) {
  EXPECT_EQ(Validate({.listen = {}}),
            absl::InvalidArgumentError(
                "--listen: missing, expected host:port or unix:path"));
}

TEST(UsableCpus, IsAtMostTheAffinityOfThisProcess) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(UsableCpus(), 1);
  EXPECT_LE(UsableCpus(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(UsableCpus(), 1);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
}  // namespace groupnorm
