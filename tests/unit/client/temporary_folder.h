#ifndef GROUPNORM_TESTS_UNIT_CLIENT_TEMPORARY_FOLDER_H_
#define GROUPNORM_TESTS_UNIT_CLIENT_TEMPORARY_FOLDER_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/cli/files/owned_tensor.h"

namespace groupnorm::cli {

/// A fixture with a folder of its own.
class TemporaryFolder : public ::testing::Test {
 protected:
  TemporaryFolder() : directory(::testing::TempDir() + "/files-XXXXXX") {
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
  }
  ~TemporaryFolder() override { std::filesystem::remove_all(directory); }

  std::string Path(const std::string& name) const {
    return absl::StrCat(directory, "/", name);
  }

  /// Writes a file; its path.
  std::string Create(const std::string& name,
                     const std::string& contents) const {
    std::ofstream(Path(name), std::ios::binary) << contents;
    return Path(name);
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  std::string directory;
};

inline std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string BytesOf(const OwnedTensor& tensor) {
  return {static_cast<const char*>(tensor.view().data), tensor.size_bytes()};
}

/// The message of an INVALID_ARGUMENT, without the path that it begins with.
inline std::string FaultBehind(const std::string& path,
                               const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string start = path + ": ";
  const std::string message(status.message());
  EXPECT_EQ(message.substr(0, start.size()), start);
  return message.substr(std::min(message.size(), start.size()));
}

}  // namespace groupnorm::cli

#endif  // GROUPNORM_TESTS_UNIT_CLIENT_TEMPORARY_FOLDER_H_
