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

// The least quota from a cgroup's folder up to the mount. Inside a container
// the folder may not exist: the mount then is the container's own cgroup.
std::optional<int> LeastQuota(const fs::path& mount, fs::path cgroup,
                              std::optional<int> (*quota_of)(const fs::path&)) {
  std::optional<int> least;
  while (true) {
    const std::optional<int> quota = quota_of(mount / cgroup.relative_path());
    if (quota.has_value()) least = std::min(*quota, least.value_or(*quota));
    if (!cgroup.has_relative_path()) return least;
    cgroup = cgroup.parent_path();
  }
}

}  // namespace

std::optional<int> CgroupCpuQuota(const std::filesystem::path& root) {
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream own(root / "proc/self/cgroup");
  std::optional<int> least;
  // Lines are `hierarchy:controllers:path`; version 2 has no controllers.
  for (std::string line; std::getline(own, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers =
        "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path cgroup = line.substr(second + 1);
    std::optional<int> quota;
    if (controllers == ",,") {
      quota = LeastQuota(mounts, cgroup, QuotaVersion2);
    } else if (controllers.find(",cpu,") != std::string::npos) {
      quota = LeastQuota(mounts / "cpu", cgroup, QuotaVersion1);
    }
    if (quota.has_value()) least = std::min(*quota, least.value_or(*quota));
  }
  return least;
}

}  // namespace groupnorm
