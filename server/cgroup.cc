#include "server/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"

namespace groupnorm {
namespace {

namespace fs = std::filesystem;

// A quota in time per period, as CPUs. Quotas that set no limit are not
// numbers ("max") or negative.
std::optional<int> Cpus(const std::string& quota, const std::string& period) {
  double quota_us = 0;
  double period_us = 0;
  if (!absl::SimpleAtod(quota, &quota_us) ||
      !absl::SimpleAtod(period, &period_us) || quota_us <= 0 ||
      period_us <= 0) {
    return std::nullopt;
  }
  return static_cast<int>(std::ceil(quota_us / period_us));
}

// The words of a file; empty ones where it has fewer or does not exist.
struct TwoWords {
  explicit TwoWords(const fs::path& path) {
    std::ifstream file(path);
    file >> first >> second;
  }
  std::string first;
  std::string second;
};

std::optional<int> QuotaVersion2(const fs::path& folder) {
  const TwoWords words(folder / "cpu.max");
  return Cpus(words.first, words.second);
}

std::optional<int> QuotaVersion1(const fs::path& folder) {
  return Cpus(TwoWords(folder / "cpu.cfs_quota_us").first,
              TwoWords(folder / "cpu.cfs_period_us").first);
}

// Limits that set none are not numbers ("max").
std::optional<std::int64_t> LimitIn(const fs::path& file) {
  std::int64_t bytes = 0;
  if (!absl::SimpleAtoi(TwoWords(file).first, &bytes)) return std::nullopt;
  return bytes;
}

std::optional<std::int64_t> LimitVersion2(const fs::path& folder) {
  return LimitIn(folder / "memory.max");
}

// Without a limit it is the largest number of whole pages, more than any
// machine has.
std::optional<std::int64_t> LimitVersion1(const fs::path& folder) {
  return LimitIn(folder / "memory.limit_in_bytes");
}

// Reads what one cgroup, whose folder this is, sets.
template <typename T>
using Reader = std::optional<T> (*)(const fs::path& folder);

template <typename T>
std::optional<T> Least(std::optional<T> a, std::optional<T> b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() ? a : b;
  return std::min(*a, *b);
}

// The least from a cgroup's folder up to the mount. Inside a container the
// folder may not exist: the mount then is the container's own cgroup.
template <typename T>
std::optional<T> LeastUpward(const fs::path& mount, fs::path cgroup,
                             Reader<T> read) {
  std::optional<T> least;
  while (true) {
    least = Least(least, read(mount / cgroup.relative_path()));
    if (!cgroup.has_relative_path()) return least;
    cgroup = cgroup.parent_path();
  }
}

// The least that any of this process's cgroups sets.
template <typename T>
std::optional<T> LeastOfAll(const fs::path& root, const std::string& controller,
                            Reader<T> version2, Reader<T> version1) {
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream own(root / "proc/self/cgroup");
  std::optional<T> least;
  // Lines are `hierarchy:controllers:path`; version 2 has no controllers.
  for (std::string line; std::getline(own, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers =
        "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path cgroup = line.substr(second + 1);
    if (controllers == ",,") {
      least = Least(least, LeastUpward(mounts, cgroup, version2));
    } else if (controllers.find("," + controller + ",") != std::string::npos) {
      least = Least(least, LeastUpward(mounts / controller, cgroup, version1));
    }
  }
  return least;
}

}  // namespace

std::optional<int> CgroupCpuQuota(const std::filesystem::path& root) {
  return LeastOfAll<int>(root, "cpu", &QuotaVersion2, &QuotaVersion1);
}

std::optional<std::int64_t> CgroupMemoryLimit(
    const std::filesystem::path& root) {
  return LeastOfAll<std::int64_t>(root, "memory", &LimitVersion2,
                                  &LimitVersion1);
}

}  // namespace groupnorm
