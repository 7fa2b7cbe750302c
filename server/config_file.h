#ifndef GROUPNORM_SERVER_CONFIG_FILE_H_
#define GROUPNORM_SERVER_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace groupnorm {

/// One line `name = value` of a file of settings.
struct ConfigEntry {
  std::string name;
  std::string value;  ///< Without the blanks around it; may be empty.
  int line = 0;       ///< The first line is 1.
};

/// Reads a file of settings: lines `name = value`, of which the value is all
/// that follows, and empty lines and comments, which begin with `#`. At most
/// 1 MiB. Fails with the path and why it cannot be read, or with `path:line: `
/// and what was expected there.
absl::StatusOr<std::vector<ConfigEntry>> ReadConfigFile(
    const std::string& path);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CONFIG_FILE_H_
