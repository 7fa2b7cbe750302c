#include "server/cgroup.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/server_process.h"

namespace groupnorm {
namespace {

namespace fs = std::filesystem;

// A file system with the given files.
class CgroupTest : public ::testing::Test {
 protected:
  CgroupTest() : root_(UniquePath("_root")) {}
  ~CgroupTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  std::optional<int> Quota() const { return CgroupCpuQuota(root_); }
  std::optional<std::int64_t> Limit() const { return CgroupMemoryLimit(root_); }

 private:
  fs::path root_;
};

TEST_F(CgroupTest, CpuQuotaIsAbsentWithoutCgroups) {
  EXPECT_EQ(Quota(), std::nullopt);
}

TEST_F(CgroupTest, CpuQuotaIsRoundedUpInVersion2) {
  Write("proc/self/cgroup", "0::/service\n");
  Write("sys/fs/cgroup/service/cpu.max", "150000 100000\n");
  EXPECT_EQ(Quota(), 2);
}

TEST_F(CgroupTest, CpuQuotaIsAbsentWhereVersion2SaysMax) {
  Write("proc/self/cgroup", "0::/service\n");
  Write("sys/fs/cgroup/service/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota(), std::nullopt);
}

TEST_F(CgroupTest, CpuQuotaIsTheLeastOfAllLevels) {
  Write("proc/self/cgroup", "0::/slice/service\n");
  Write("sys/fs/cgroup/slice/service/cpu.max", "800000 100000\n");
  Write("sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
  EXPECT_EQ(Quota(), 3);
}

TEST_F(CgroupTest, CpuQuotaIsFoundAtTheMountInsideAContainer) {
  Write("proc/self/cgroup", "0::/../host/path\n");
  Write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(Quota(), 1);
}

TEST_F(CgroupTest, CpuQuotaIsFoundInVersion1) {
  Write("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/service\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_quota_us", "400000\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 4);
}

TEST_F(CgroupTest, CpuQuotaIsAbsentWhereVersion1SaysMinusOne) {
  Write("proc/self/cgroup", "3:cpu,cpuacct:/service\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), std::nullopt);
}

TEST_F(CgroupTest, MemoryLimitIsAbsentWhereNoneIsSet) {
  EXPECT_EQ(Limit(), std::nullopt);
  Write("proc/self/cgroup", "0::/service\n");
  Write("sys/fs/cgroup/service/memory.max", "max\n");
  EXPECT_EQ(Limit(), std::nullopt);
}

TEST_F(CgroupTest, MemoryLimitIsTheLeastOfAllLevelsInVersion2) {
  Write("proc/self/cgroup", "0::/slice/service\n");
  Write("sys/fs/cgroup/slice/service/memory.max", "4294967296\n");
  Write("sys/fs/cgroup/slice/memory.max", "2147483648\n");
  EXPECT_EQ(Limit(), std::int64_t{1} << 31);
}

TEST_F(CgroupTest, MemoryLimitIsFoundInVersion1) {
  Write("proc/self/cgroup", "4:memory:/service\n3:cpu,cpuacct:/service\n");
  Write("sys/fs/cgroup/memory/service/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(Limit(), 536870912);
  EXPECT_EQ(Quota(), std::nullopt);
}

}  // namespace
}  // namespace groupnorm
