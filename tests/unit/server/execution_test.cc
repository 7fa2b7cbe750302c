#include "server/execution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;

class TestExecution final : public Execution {
 public:
  using Execution::AddStage;
  grpc::ByteBuffer TakeResponse() override { return {}; }
};

// Phases of one task each, which writes down the name and the phase.
class TestStage final : public Computation {
 public:
  TestStage(std::string name, std::int64_t num_phases,
            std::vector<std::string>& log)
      : name_(std::move(name)), num_phases_(num_phases), log_(log) {}

  std::int64_t num_phases() const override { return num_phases_; }
  std::int64_t num_tasks(std::int64_t /*phase*/) const override { return 1; }
  void RunTask(std::int64_t phase, std::int64_t task) override {
    log_.push_back(absl::StrCat(name_, " ", phase, " ", task));
  }

 private:
  std::string name_;
  std::int64_t num_phases_;
  std::vector<std::string>& log_;
};

TEST(Execution, RunsThePhasesOfItsStagesOneAfterTheOther) {
  std::vector<std::string> log;
  TestExecution execution;
  execution.AddStage(std::make_unique<TestStage>("first", 1, log));
  execution.AddStage(std::make_unique<TestStage>("none", 0, log));
  execution.AddStage(std::make_unique<TestStage>("second", 2, log));
  RunComputation(execution);
  EXPECT_THAT(log, ElementsAre("first 0 0", "second 0 0", "second 1 0"));
}

TEST(Execution, TakesNoMemoryForItsPhases) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  std::vector<std::string> log;
  TestExecution execution;
  execution.AddStage(std::make_unique<TestStage>("huge", kHuge, log));
  execution.AddStage(std::make_unique<TestStage>("last", 1, log));
  EXPECT_EQ(execution.num_phases(), kHuge + 1);
  execution.RunTask(kHuge - 1, 0);
  execution.RunTask(kHuge, 0);
  EXPECT_THAT(log, ElementsAre("huge 1099511627775 0", "last 0 0"));
}

}  // namespace
}  // namespace groupnorm
