#include "server/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/server_process.h"

namespace groupnorm {
namespace {

namespace fs = std::filesystem;

// A file system with the given files.
class CgroupCpuQuotaTest : public ::testing::Test {
 protected:
  CgroupCpuQuotaTest() : root_(UniquePath("_root")) {}
  ~CgroupCpuQuotaTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  std::optional<int> Quota() const { return CgroupCpuQuota(root_); }

 private:
  fs::path root_;
};

TEST_F(CgroupCpuQuotaTest, IsAbsentWithoutCgroups) {
  EXPECT_EQ(Quota(), std::nullopt);
}

TEST_F(CgroupCpuQuotaTest, IsRoundedUpInVersion2) {
  Write("proc/self/cgroup", "0::/service\n");
  Write("sys/fs/cgroup/service/cpu.max", "150000 100000\n");
  EXPECT_EQ(Quota(), 2);
}

TEST_F(CgroupCpuQuotaTest, IsAbsentWhereVersion2SaysMax) {
  Write("proc/self/cgroup", "0::/service\n");
  Write("sys/fs/cgroup/service/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota(), std::nullopt);
}

TEST_F(CgroupCpuQuotaTest, IsTheLeastOfAllLevels) {
  Write("proc/self/cgroup", "0::/slice/service\n");
  Write("sys/fs/cgroup/slice/service/cpu.max", "800000 100000\n");
  Write("sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
  EXPECT_EQ(Quota(), 3);
}

TEST_F(CgroupCpuQuotaTest, IsFoundAtTheMountInsideAContainer) {
  Write("proc/self/cgroup", "0::/../host/path\n");
  Write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(Quota(), 1);
}

TEST_F(CgroupCpuQuotaTest, IsFoundInVersion1) {
  Write("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/service\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_quota_us", "400000\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 4);
}

TEST_F(CgroupCpuQuotaTest, IsAbsentWhereVersion1SaysMinusOne) {
  Write("proc/self/cgroup", "3:cpu,cpuacct:/service\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu/service/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), std::nullopt);
}

}  // namespace
}  // namespace groupnorm
