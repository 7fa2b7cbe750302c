#ifndef GROUPNORM_SERVER_CGROUP_H_
#define GROUPNORM_SERVER_CGROUP_H_

#include <cstdint>
#include <filesystem>
#include <optional>

namespace groupnorm {

/// CPUs that the cgroups of this process allow it, the least of all levels,
/// rounded up to a whole number; nullopt where none sets a quota. Understands
/// version 2 (cpu.max) and version 1 (cpu.cfs_quota_us). `root` is where the
/// file system begins: "/" outside of tests.
std::optional<int> CgroupCpuQuota(const std::filesystem::path& root);

/// Memory in bytes that the cgroups of this process allow it, the least of all
/// levels; nullopt where none sets a limit. Understands version 2 (memory.max)
/// and version 1 (memory.limit_in_bytes).
std::optional<std::int64_t> CgroupMemoryLimit(
    const std::filesystem::path& root);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CGROUP_H_
