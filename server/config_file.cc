#include "server/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace groupnorm {

namespace {

// Bounds what a device given by mistake can take.
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

absl::Status Fault(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

std::string Trimmed(const std::string& text) {
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace

absl::StatusOr<std::vector<ConfigEntry>> ReadConfigFile(
    const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file) return Fault(path, std::strerror(errno));
  std::string contents(kMaxFileBytes + 1, '\0');
  file.read(contents.data(), static_cast<std::streamsize>(contents.size()));
  if (file.bad()) return Fault(path, std::strerror(errno));
  contents.resize(static_cast<std::size_t>(file.gcount()));
  if (contents.size() > kMaxFileBytes) {
    return Fault(path, "more than 1 MiB, expected a file of settings");
  }

  std::vector<ConfigEntry> entries;
  int line = 0;
  for (std::size_t start = 0; start < contents.size();) {
    ++line;
    const std::size_t end =
        std::min(contents.find('\n', start), contents.size());
    const std::string text = Trimmed(contents.substr(start, end - start));
    start = end + 1;
    if (text.empty() || text.front() == '#') continue;
    const std::size_t equals = text.find('=');
    const std::string name = Trimmed(text.substr(0, equals));
    if (equals == std::string::npos || name.empty()) {
      return Fault(absl::StrCat(path, ":", line),
                   absl::StrCat("'", text, "', expected name = value"));
    }
    entries.push_back({name, Trimmed(text.substr(equals + 1)), line});
  }
  return entries;
}

}  // namespace groupnorm
