#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/problem.h"
#include "bench/row.h"
#include "bench/two_threads.h"

namespace groupnorm::bench {

namespace {

using ::testing::Each;
using ::testing::HasSubstr;

// Counts how often each task runs, and in which phase it finds the whole.
class Counting : public Computation {
 public:
  explicit Counting(const std::vector<std::int64_t>& num_tasks) {
    for (const std::int64_t count : num_tasks) {
      runs_.emplace_back(static_cast<std::size_t>(count));
    }
  }

  std::int64_t num_phases() const override {
    return static_cast<std::int64_t>(runs_.size());
  }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return static_cast<std::int64_t>(runs_[Index(phase)].size());
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    // Not atomic: that the phases before are over must be seen by all.
    for (std::size_t before = 0; before < Index(phase); ++before) {
      for (const int count : runs_[before]) {
        if (count != 1) ++out_of_order_;
      }
    }
    ++runs_[Index(phase)][Index(task)];
  }

  const std::vector<std::vector<int>>& runs() const { return runs_; }
  int out_of_order() const { return out_of_order_; }

 private:
  static std::size_t Index(std::int64_t value) {
    return static_cast<std::size_t>(value);
  }

  std::vector<std::vector<int>> runs_;
  std::atomic<int> out_of_order_{0};
};

TEST(TwoThreads, RunsEveryTaskOnceAndOnePhaseAfterTheOther) {
  TwoThreads two_threads;
  for (int repetition = 0; repetition < 200; ++repetition) {
    Counting counting({5, 1, 0, 40, 2});
    two_threads.Run(counting);
    for (const std::vector<int>& phase : counting.runs()) {
      EXPECT_THAT(phase, Each(1));
    }
    EXPECT_EQ(counting.out_of_order(), 0);
  }
}

class Limits : public testing::TestWithParam<Stores> {
 protected:
  static void SetUpTestSuite() { ChooseVectorsOfLimits(); }
};

// Reaches over a border of tasks and ends within a vector.
constexpr std::size_t kBytes = (std::size_t{256} << 10) + 64 + 8;

std::byte At(std::size_t index, std::size_t factor) {
  return static_cast<std::byte>(index * factor % 251);
}

TEST_P(Limits, CopyWritesEveryByte) {
  const Pages input(kBytes), output(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) input.data()[i] = At(i, 7);
  Limit copy(GetParam(), kBytes, input.data(), nullptr, output.data());
  RunComputation(copy);
  for (std::size_t i = 0; i < kBytes; ++i) {
    ASSERT_EQ(output.data()[i], At(i, 7)) << "byte " << i;
  }
}

TEST_P(Limits, TriadWritesTheSumOfEveryWord) {
  const Pages a(kBytes), b(kBytes), output(kBytes);
  auto* const a_words = reinterpret_cast<std::uint64_t*>(a.data());
  auto* const b_words = reinterpret_cast<std::uint64_t*>(b.data());
  for (std::size_t i = 0; i < kBytes / 8; ++i) {
    a_words[i] = i << 40;
    b_words[i] = 3 * i;
  }
  Limit triad(GetParam(), kBytes, a.data(), b.data(), output.data());
  RunComputation(triad);
  const auto* const sums =
      reinterpret_cast<const std::uint64_t*>(output.data());
  for (std::size_t i = 0; i < kBytes / 8; ++i) {
    ASSERT_EQ(sums[i], (i << 40) + 3 * i) << "word " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(AllStores, Limits,
                         testing::Values(Stores::kPlain, Stores::kNonTemporal));

absl::StatusOr<std::vector<NamedShape>> ReadLine(const std::string& line) {
  const std::string path = testing::TempDir() + "bench_test_shapes.txt";
  std::ofstream(path) << "# A comment.\n\n" << line << '\n';
  return ReadShapes(path);
}

TEST(ReadShapes, NamesShapesAfterExtentsAndGroups) {
  const auto shapes = ReadLine("2,6,4,5  G3  # why it is here");
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  ASSERT_EQ(shapes->size(), 1);
  EXPECT_EQ(shapes->front().shape, Shape({2, 6, 4, 5}));
  EXPECT_EQ(shapes->front().num_groups, 3);
  EXPECT_EQ(shapes->front().name, "2x6x4x5_G3");
}

TEST(ReadShapes, NamesTheFileThatIsNotThere) {
  const auto shapes = ReadShapes("/nonexistent/shapes.txt");
  EXPECT_EQ(shapes.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(shapes.status().message()),
              HasSubstr("/nonexistent/shapes.txt"));
}

class ReadBadShapes : public testing::TestWithParam<const char*> {};

TEST_P(ReadBadShapes, NamesTheLine) {
  const auto shapes = ReadLine(GetParam());
  EXPECT_EQ(shapes.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(shapes.status().message()),
              HasSubstr("bench_test_shapes.txt:3: "));
}

INSTANTIATE_TEST_SUITE_P(Lines, ReadBadShapes,
                         testing::Values("2,6,4,4", "2,6,4,4 3", "2,six G3",
                                         "2,6,4,4 G4", "2,6,4,4 G0", "6 G3",
                                         "2,-6 G3", "0,6 G3", "2,6 G3 G3"));

TEST(RowsOf, LeavesOutTheSecondLayoutWithoutSpatialAxes) {
  const auto dense = ReadLine("64,256 G8");
  const auto image = ReadLine("2,6,4,4 G3");
  ASSERT_TRUE(dense.ok() && image.ok());
  EXPECT_EQ(RowsOf(*dense).size(), 2 * 4 * 1 * 2);
  EXPECT_EQ(RowsOf(*image).size(), 2 * 4 * 2 * 2);
}

TEST(Row, MovesTwoTensorsForwardAndThreeBackward) {
  const auto shapes = ReadLine("2,6,4,4 G3");
  ASSERT_TRUE(shapes.ok());
  const Row forward = RowsOf(*shapes).front();
  const Row backward = RowsOf(*shapes).back();
  EXPECT_EQ(forward.Name(),
            "forward/float32/channels_first/2x6x4x4_G3/threads:1");
  EXPECT_EQ(forward.traffic_bytes(), 2 * 192 * 4);
  EXPECT_EQ(backward.Name(),
            "backward/bfloat16/channels_last/2x6x4x4_G3/threads:2");
  EXPECT_EQ(backward.traffic_bytes(), 3 * 192 * 2);
}

}  // namespace

}  // namespace groupnorm::bench
