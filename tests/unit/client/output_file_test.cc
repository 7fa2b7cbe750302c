#include "client/cli/files/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/client/temporary_folder.h"

namespace groupnorm::cli {
namespace {

using ::testing::SizeIs;

using OutputFileTest = TemporaryFolder;

const std::string kElements = "abcdefghijklmnop";

TEST_F(OutputFileTest, IsSeenOnlyOnceItIsComplete) {
  const std::string path = Create("x.npy", "old");
  {
    absl::StatusOr<OutputFile> output = OutputFile::Open(path);
    ASSERT_EQ(output.status(), absl::OkStatus());
    EXPECT_EQ(
        output->Write("head", {DataType::kFloat64, {2}, kElements.data()}),
        absl::OkStatus());
    EXPECT_EQ(Contents(path), "old");
  }
  // Never committed: nothing is left of it.
  EXPECT_EQ(Contents(path), "old");
  EXPECT_THAT(Files(), SizeIs(1));
  absl::StatusOr<OutputFile> output = OutputFile::Open(path);
  ASSERT_EQ(output.status(), absl::OkStatus());
  EXPECT_EQ(output->Write("head", {DataType::kFloat64, {2}, kElements.data()}),
            absl::OkStatus());
  EXPECT_EQ(output->Commit(), absl::OkStatus());
  EXPECT_EQ(Contents(path), "head" + kElements);
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(OutputFileTest, IsWrittenBesideWhatAKilledProcessLeft) {
  // As of one with the same process id: those of containers repeat.
  const std::string left = absl::StrCat(Path("y.npy"), ".", getpid(), "-0.tmp");
  std::ofstream(left) << "half";
  {
    absl::StatusOr<OutputFile> output = OutputFile::Open(Path("y.npy"));
    ASSERT_EQ(output.status(), absl::OkStatus());
    EXPECT_EQ(
        output->Write("head", {DataType::kFloat64, {2}, kElements.data()}),
        absl::OkStatus());
    EXPECT_EQ(output->Commit(), absl::OkStatus());
  }
  EXPECT_EQ(Contents(Path("y.npy")), "head" + kElements);
  EXPECT_EQ(Contents(left), "half");
}

TEST_F(OutputFileTest, GoesWhereASymbolicLinkLeads) {
  const std::string path = Create("x.npy", "old");
  std::filesystem::create_symlink("x.npy", Path("link.npy"));
  absl::StatusOr<OutputFile> output = OutputFile::Open(Path("link.npy"));
  ASSERT_EQ(output.status(), absl::OkStatus());
  EXPECT_EQ(output->Write("head", {DataType::kFloat64, {2}, kElements.data()}),
            absl::OkStatus());
  EXPECT_EQ(output->Commit(), absl::OkStatus());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link.npy")));
  EXPECT_EQ(Contents(path), "head" + kElements);
}

TEST_F(OutputFileTest, DoesNotTakeThePlaceOfALinkThatLeadsNowhere) {
  std::filesystem::create_symlink("x.npy", Path("link.npy"));
  EXPECT_EQ(OutputFile::Open(Path("link.npy")).status(),
            absl::InvalidArgumentError(
                absl::StrCat(Path("link.npy"),
                             ": a symbolic link to a file that does not "
                             "exist")));
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link.npy")));
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(OutputFileTest, IsNotOpenedWhereItCannotBeWritten) {
  EXPECT_EQ(OutputFile::Open(Path("none/y.npy")).status(),
            absl::NotFoundError(absl::StrCat(Path("none/y.npy"),
                                             ": No such file or directory")));
  EXPECT_EQ(OutputFile::Open(directory).status(),
            absl::InvalidArgumentError(
                absl::StrCat(directory, ": not a regular file")));
  EXPECT_EQ(OutputFile::Open("/dev/null").status(),
            absl::InvalidArgumentError("/dev/null: not a regular file"));
  const std::string below = Create("x.npy", "") + "/y.npy";
  EXPECT_EQ(OutputFile::Open(below).status().message(),
            absl::StrCat(below, ": Not a directory"));
  if (geteuid() != 0) {  // Nothing is read-only to the superuser.
    std::filesystem::permissions(Path("x.npy"),
                                 std::filesystem::perms::owner_read);
    EXPECT_EQ(OutputFile::Open(Path("x.npy")).status(),
              absl::PermissionDeniedError(
                  absl::StrCat(Path("x.npy"), ": Permission denied")));
  }
}

TEST_F(OutputFileTest, SaysWhereTheDiskIsFull) {
  absl::StatusOr<OutputFile> output = OutputFile::Open(Path("y.npy"));
  ASSERT_EQ(output.status(), absl::OkStatus());
  // The same as a full disk: a file may not grow beyond this.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {16, before.rlim_max};
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status =
      output->Write("head", {DataType::kFloat64, {2}, kElements.data()});
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, ignored);
  EXPECT_EQ(status.message(), absl::StrCat(Path("y.npy"), ": File too large"));
}

}  // namespace
}  // namespace groupnorm::cli
