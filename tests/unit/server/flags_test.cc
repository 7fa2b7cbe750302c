#include "server/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Flags> Parse(const std::vector<std::string>& flags) {
  std::vector<const char*> argv = {"groupnorm-server"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  return ParseFlags(static_cast<int>(argv.size()), argv.data());
}

std::string ErrorOf(const std::vector<std::string>& flags) {
  const absl::StatusOr<Flags> parsed = Parse(flags);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}

class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    ::setenv(name, value, 1);
  }
  ~ScopedVariable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

TEST(Flags, DefaultToTheOptions) {
  const Flags flags = Parse({}).value();
  const ServerOptions defaults;
  EXPECT_EQ(flags.server.listen, defaults.listen);
  EXPECT_FALSE(flags.server.insecure);
  EXPECT_EQ(flags.server.workers, 0);
  EXPECT_EQ(flags.server.max_message_bytes, 256 << 20);
  EXPECT_EQ(flags.server.max_queued_calls, 256);
  EXPECT_EQ(flags.server.max_queued_bytes, std::int64_t{2} << 30);
  EXPECT_EQ(flags.server.max_reading_calls, 0);
  EXPECT_EQ(flags.server.read_timeout, absl::Seconds(30));
  EXPECT_EQ(flags.server.write_timeout, absl::Seconds(30));
  EXPECT_EQ(flags.server.drain_delay, absl::Seconds(1));
  EXPECT_EQ(flags.server.drain_timeout, absl::Seconds(25));
  EXPECT_EQ(flags.server.max_connection_age, absl::InfiniteDuration());
  EXPECT_EQ(flags.log_level, "info");
  EXPECT_EQ(flags.print, std::nullopt);
}

TEST(Flags, SetEveryOption) {
  const Flags flags =
      Parse({"--listen", "127.0.0.1:0", "--listen=0.0.0.0:1", "--insecure",
             "--workers=3", "--max-message-bytes=5MiB", "--max-queued-calls=7",
             "--max-queued-bytes=12345678", "--max-reading-calls=2",
             "--read-timeout=7s", "--write-timeout=8s", "--drain-delay=2s",
             "--drain-timeout=1m30s", "--max-connection-age=5m",
             "--log-level=debug"})
          .value();
  EXPECT_THAT(flags.server.listen, ElementsAre("127.0.0.1:0", "0.0.0.0:1"));
  EXPECT_TRUE(flags.server.insecure);
  EXPECT_EQ(flags.server.workers, 3);
  EXPECT_EQ(flags.server.max_message_bytes, 5 << 20);
  EXPECT_EQ(flags.server.max_queued_calls, 7);
  EXPECT_EQ(flags.server.max_queued_bytes, 12345678);
  EXPECT_EQ(flags.server.max_reading_calls, 2);
  EXPECT_EQ(flags.server.read_timeout, absl::Seconds(7));
  EXPECT_EQ(flags.server.write_timeout, absl::Seconds(8));
  EXPECT_EQ(flags.server.drain_delay, absl::Seconds(2));
  EXPECT_EQ(flags.server.drain_timeout, absl::Seconds(90));
  EXPECT_EQ(flags.server.max_connection_age, absl::Minutes(5));
  EXPECT_EQ(flags.log_level, "debug");
}

TEST(Flags, AreTakenFromTheEnvironment) {
  const ScopedVariable listen("GROUPNORM_LISTEN", "0.0.0.0:1,unix:/tmp/x");
  const ScopedVariable insecure("GROUPNORM_INSECURE", "true");
  const ScopedVariable bytes("GROUPNORM_MAX_MESSAGE_BYTES", "64KiB");
  const ScopedVariable timeout("GROUPNORM_DRAIN_TIMEOUT", "500ms");
  const Flags flags = Parse({}).value();
  EXPECT_THAT(flags.server.listen, ElementsAre("0.0.0.0:1", "unix:/tmp/x"));
  EXPECT_TRUE(flags.server.insecure);
  EXPECT_EQ(flags.server.max_message_bytes, 64 << 10);
  EXPECT_EQ(flags.server.drain_timeout, absl::Milliseconds(500));
}

TEST(Flags, ComeBeforeTheEnvironment) {
  const ScopedVariable workers("GROUPNORM_WORKERS", "5");
  EXPECT_EQ(Parse({})->server.workers, 5);
  EXPECT_EQ(Parse({"--workers", "6"})->server.workers, 6);
}

TEST(Flags, RefuseABareNumberAsDuration) {
  EXPECT_EQ(ErrorOf({"--drain-timeout=10"}),
            "--drain-timeout: '10', expected a duration such as 10s or 500ms");
  EXPECT_EQ(ErrorOf({"--drain-timeout=0"}),
            "--drain-timeout: '0', expected a duration such as 10s or 500ms");
  EXPECT_EQ(Parse({"--drain-timeout=0s"})->server.drain_timeout,
            absl::ZeroDuration());
}

TEST(Flags, RefuseASizeOfAnotherUnit) {
  for (const std::string text :
       {"1MB", "MiB", "-1", "1.5GiB", "8589934592GiB", "1KiBMiB"}) {
    EXPECT_EQ(ErrorOf({"--max-queued-bytes=" + text}),
              "--max-queued-bytes: '" + text +
                  "', expected bytes, or a size such as 256MiB (KiB, MiB, "
                  "GiB)");
  }
  EXPECT_EQ(Parse({"--max-queued-bytes=3GiB"})->server.max_queued_bytes,
            std::int64_t{3} << 30);
}

TEST(Flags, RefuseWhatIsNoNumber) {
  EXPECT_EQ(ErrorOf({"--workers=many"}),
            "--workers: 'many', expected a whole number");
}

TEST(Flags, NameTheVariableAtFault) {
  {
    const ScopedVariable calls("GROUPNORM_MAX_QUEUED_CALLS", "1e3");
    EXPECT_EQ(ErrorOf({}),
              "GROUPNORM_MAX_QUEUED_CALLS: '1e3', expected a whole number");
    // One that a flag goes before is not looked at.
    EXPECT_EQ(Parse({"--max-queued-calls=9"})->server.max_queued_calls, 9);
  }
  {
    const ScopedVariable insecure("GROUPNORM_INSECURE", "yes");
    EXPECT_EQ(ErrorOf({}), "GROUPNORM_INSECURE: 'yes', expected true or false");
  }
  const ScopedVariable bytes("GROUPNORM_MAX_MESSAGE_BYTES", "2GiB");
  EXPECT_EQ(
      ErrorOf({}),
      "GROUPNORM_MAX_MESSAGE_BYTES: 2147483648, expected 1 to 2147483647");
  EXPECT_EQ(ErrorOf({"--max-message-bytes=3GiB"}),
            "--max-message-bytes: 3221225472, expected 1 to 2147483647");
}

TEST(Flags, TakeAnEmptyVariableForNone) {
  const ScopedVariable workers("GROUPNORM_WORKERS", "");
  EXPECT_EQ(Parse({})->server.workers, 0);
}

TEST(Flags, RefuseAFlagWithoutItsValue) {
  // Not as though the next flag were its value.
  EXPECT_EQ(ErrorOf({"--workers=", "--check-config"}),
            "--workers: '', expected a value");
  EXPECT_EQ(ErrorOf({"--listen=", "--insecure"}),
            "--listen: '', expected a value");
  // Behind -- it is a word, which is refused as such.
  EXPECT_THAT(ErrorOf({"--", "--workers="}), HasSubstr("lists what there is"));
}

TEST(Flags, RefuseAnUnknownLogLevel) {
  EXPECT_EQ(ErrorOf({"--log-level=loud"}),
            "--log-level: 'loud', expected debug, info, warning, error or off");
}

TEST(Flags, RefuseWhatTheOptionsDoNotAllow) {
  EXPECT_EQ(ErrorOf({"--max-message-bytes=2GiB"}),
            "--max-message-bytes: 2147483648, expected 1 to 2147483647");
}

TEST(Flags, RefuseUnknownFlags) {
  EXPECT_THAT(ErrorOf({"--port=1"}), HasSubstr("--port=1"));
  EXPECT_THAT(ErrorOf({"serve"}), HasSubstr("serve"));
}

TEST(Flags, PrintHelpWithVariableTypeAndDefaultOfEveryFlag) {
  const std::string help = Parse({"--help"})->print.value();
  for (const char* entry :
       {"--listen ADDRESS=127.0.0.1:50051 ... (Env:GROUPNORM_LISTEN)",
        "--insecure (Env:GROUPNORM_INSECURE)",
        "--workers THREADS=0 (Env:GROUPNORM_WORKERS)",
        "--max-message-bytes SIZE=256MiB (Env:GROUPNORM_MAX_MESSAGE_BYTES)",
        "--max-queued-calls CALLS=256 (Env:GROUPNORM_MAX_QUEUED_CALLS)",
        "--max-queued-bytes SIZE=2GiB (Env:GROUPNORM_MAX_QUEUED_BYTES)",
        "--max-reading-calls CALLS=0 (Env:GROUPNORM_MAX_READING_CALLS)",
        "--read-timeout DURATION=30s (Env:GROUPNORM_READ_TIMEOUT)",
        "--write-timeout DURATION=30s (Env:GROUPNORM_WRITE_TIMEOUT)",
        "--drain-delay DURATION=1s (Env:GROUPNORM_DRAIN_DELAY)",
        "--drain-timeout DURATION=25s (Env:GROUPNORM_DRAIN_TIMEOUT)",
        "--max-connection-age DURATION=inf (Env:GROUPNORM_MAX_CONNECTION_AGE)",
        "--log-level LEVEL=info (Env:GROUPNORM_LOG_LEVEL)",
        "--config FILE (Env:GROUPNORM_CONFIG)", "--check-config",
        "--print-config", "--version", "--help"}) {
    EXPECT_THAT(help, HasSubstr(entry));
  }
  const std::vector<std::string> flags = absl::StrSplit(help, "\n  --");
  EXPECT_EQ(flags.size() - 1, 18U);  // Those above, and no other.
}

TEST(Flags, PrintHelpAlsoWhereAValueIsWrong) {
  const ScopedVariable workers("GROUPNORM_WORKERS", "many");
  EXPECT_EQ(Parse({"--help"})->print,
            Parse({"--log-level=loud", "--help"})->print);
  EXPECT_THAT(Parse({"--help"})->print.value(), HasSubstr("--workers THREADS"));
  EXPECT_THAT(Parse({"--version"})->print.value(),
              HasSubstr("groupnorm-server "));
}

TEST(Flags, PrintTheVersion) {
  EXPECT_THAT(
      Parse({"--version"})->print.value(),
      ::testing::MatchesRegex("groupnorm-server [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace groupnorm
