#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "server/flags.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

class Config : public ::testing::Test {
 protected:
  ~Config() override { std::remove(path.c_str()); }

  /// Parses --config of a file with these contents, after `flags`.
  absl::StatusOr<Flags> Parse(const std::string& contents,
                              std::vector<const char*> flags = {}) {
    std::ofstream(path) << contents;
    flags.insert(flags.begin(), {"groupnorm-server", "--config"});
    flags.insert(flags.begin() + 2, path.c_str());
    return ParseFlags(static_cast<int>(flags.size()), flags.data());
  }

  std::string FaultOf(const std::string& contents,
                      std::vector<const char*> flags = {}) {
    const absl::StatusOr<Flags> parsed = Parse(contents, std::move(flags));
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(parsed.status().message());
    EXPECT_THAT(message, StartsWith(path + ":"));
    return message.substr(std::min(message.size(), path.size()));
  }

  const std::string path =
      ::testing::TempDir() + "groupnorm-config-" +
      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(Config, GivesSettings) {
  const Flags flags = Parse(
                          "# The server of the tests.\n\n"
                          "  listen = 127.0.0.1:0,unix:/run/a b#c\n"
                          "insecure=true\r\n"
                          "max-message-bytes = 3MiB\n"
                          "drain-delay =0s\n"
                          "log-level = error")
                          .value();
  EXPECT_THAT(flags.server.listen,
              ElementsAre("127.0.0.1:0", "unix:/run/a b#c"));
  EXPECT_TRUE(flags.server.insecure);
  EXPECT_EQ(flags.server.max_message_bytes, 3 << 20);
  EXPECT_EQ(flags.server.drain_delay, absl::ZeroDuration());
  EXPECT_EQ(flags.log_level, "error");
  EXPECT_EQ(flags.print, std::nullopt);
}

TEST_F(Config, YieldsToTheEnvironmentAndThatToTheCommandLine) {
  const std::string file =
      "workers = 3\nmax-queued-calls = 3\nmax-reading-calls = 3\n"
      "listen = 127.0.0.1:3\n";
  ::setenv("GROUPNORM_MAX_QUEUED_CALLS", "4", 1);
  ::setenv("GROUPNORM_WORKERS", "4", 1);
  const absl::StatusOr<Flags> flags =
      Parse(file, {"--workers=5", "--listen=127.0.0.1:5"});
  ::unsetenv("GROUPNORM_MAX_QUEUED_CALLS");
  ::unsetenv("GROUPNORM_WORKERS");
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->server.workers, 5);
  EXPECT_EQ(flags->server.max_queued_calls, 4);
  EXPECT_EQ(flags->server.max_reading_calls, 3);
  EXPECT_THAT(flags->server.listen, ElementsAre("127.0.0.1:5"));
}

TEST_F(Config, FaultsNameFileAndLine) {
  EXPECT_EQ(FaultOf("\nworkers\n"), ":2: 'workers', expected name = value");
  EXPECT_EQ(FaultOf("= 3\n"), ":1: '= 3', expected name = value");
  EXPECT_EQ(FaultOf("#\n\nworkers = many\n"),
            ":3: workers: 'many', expected a whole number");
  EXPECT_EQ(FaultOf("workers = 1\nwokers = 2\n"),
            ":2: wokers: no setting, groupnorm-server --help lists them "
            "(without the dashes)");
  EXPECT_EQ(FaultOf("workers = 1\nworkers = 2\n"),
            ":2: workers: already given in line 1");
  EXPECT_EQ(FaultOf("insecure = yes\n"),
            ":1: insecure: 'yes', expected true or false");
  EXPECT_EQ(FaultOf("config = other\n"),
            ":1: config: no setting, groupnorm-server --help lists them "
            "(without the dashes)");
}

TEST_F(Config, FaultsOfSettingsOutOfRangeNameFileAndLine) {
  EXPECT_THAT(FaultOf("\nworkers = -1\n"), StartsWith(":2: workers: "));
  // Not where the command line is at fault.
  const absl::StatusOr<Flags> parsed = Parse("workers = 1\n", {"--workers=-1"});
  EXPECT_THAT(std::string(parsed.status().message()),
              StartsWith("--workers: "));
}

TEST_F(Config, FaultsOfTheFileItselfNameIt) {
  const auto fault = [](const char* file) {
    const std::vector<const char*> argv = {"groupnorm-server", "--config",
                                           file};
    return std::string(ParseFlags(3, argv.data()).status().message());
  };
  EXPECT_EQ(fault("/nowhere/groupnorm.conf"),
            "/nowhere/groupnorm.conf: No such file or directory");
  EXPECT_EQ(fault("/"), "/: Is a directory");
  EXPECT_EQ(fault("/dev/zero"),
            "/dev/zero: more than 1 MiB, expected a file of settings");
}

TEST_F(Config, IsPrintedAsItIsRead) {
  const std::vector<const char*> flags = {"--listen=0.0.0.0:1,unix:/run/s",
                                          "--insecure",
                                          "--workers=7",
                                          "--max-message-bytes=1000001",
                                          "--max-queued-bytes=3GiB",
                                          "--max-queued-calls=9",
                                          "--max-reading-calls=8",
                                          "--read-timeout=1500ms",
                                          "--write-timeout=2m",
                                          "--drain-delay=0s",
                                          "--drain-timeout=4s",
                                          "--max-connection-age=1h",
                                          "--log-level=debug",
                                          "--print-config"};
  const std::string printed = Parse("", flags).value().print.value();
  EXPECT_EQ(printed,
            "listen = 0.0.0.0:1,unix:/run/s\ninsecure = true\nworkers = 7\n"
            "drain-delay = 0s\ndrain-timeout = 4s\nmax-connection-age = 1h\n"
            "log-level = debug\nmax-message-bytes = 1000001\n"
            "max-queued-calls = 9\nmax-queued-bytes = 3GiB\n"
            "max-reading-calls = 8\nread-timeout = 1.5s\n"
            "write-timeout = 2m\n");
  EXPECT_EQ(Parse(printed, {"--print-config"}).value().print, printed);
  const std::string defaults =
      Parse("", {"--print-config"}).value().print.value();
  EXPECT_EQ(Parse(defaults, {"--print-config"}).value().print, defaults);
}

TEST_F(Config, IsCheckedWithoutServing) {
  EXPECT_EQ(Parse("workers = 1\n", {"--check-config"}).value().print,
            "the settings are valid\n");
  EXPECT_EQ(FaultOf("workers = x\n", {"--check-config"}),
            ":1: workers: 'x', expected a whole number");
}

}  // namespace
}  // namespace groupnorm
