// Measures the kernels beside the least that they have to do: copies and triads
// of the same bytes. bench/README.md says how to run it.

#include <sys/resource.h>

#include <array>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/limits.h"
#include "bench/problem.h"
#include "bench/row.h"
#include "bench/two_threads.h"
#include "benchmark/benchmark.h"
#include "hwy/targets.h"
#include "kernels/group_norm.h"

namespace groupnorm::bench {

namespace {

struct ForcedTarget {
  std::string_view flag;
  std::string_view name;  // As SimdTarget() gives it.
  std::int64_t highway_targets;
};

// Highway's baseline is one of two, depending on the compiler.
constexpr std::array<ForcedTarget, 3> kForcedTargets = {{
    {"avx512", "AVX-512", HWY_AVX3},
    {"avx2", "AVX2", HWY_AVX2},
    {"portable", "portable", HWY_SCALAR | HWY_EMU128},
}};

enum class Side : std::uint8_t { kKernel, kLimit, kNonTemporalLimit };

constexpr std::array<Side, 3> kSides = {Side::kKernel, Side::kLimit,
                                        Side::kNonTemporalLimit};

std::string NameOf(const Row& row, Side side) {
  const bool is_forward = row.direction == Direction::kForward;
  std::string_view name = "kernel";
  if (side == Side::kLimit) name = is_forward ? "copy" : "triad";
  if (side == Side::kNonTemporalLimit) {
    name = is_forward ? "copy_non_temporal" : "triad_non_temporal";
  }
  return row.Name().append("/").append(name);
}

// Page faults that the process has had so far.
double PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_minflt + usage.ru_majflt);
}

void Measure(benchmark::State& state, Problem& problem, const Row& row,
             Side side) {
  problem.Prepare(row);
  std::optional<TwoThreads> two_threads;
  if (row.threads == 2) two_threads.emplace();
  const auto run = [&two_threads](Computation& computation) {
    if (two_threads) {
      two_threads->Run(computation);
    } else {
      RunComputation(computation);
    }
    benchmark::ClobberMemory();
  };
  const double faults_before = PageFaults();
  if (side == Side::kKernel) {
    for (auto _ : state) run(*problem.MakeKernel());
  } else {
    Limit limit = problem.MakeLimit(
        side == Side::kLimit ? Stores::kPlain : Stores::kNonTemporal);
    for (auto _ : state) run(limit);
  }
  state.counters["page_faults"] = benchmark::Counter(
      PageFaults() - faults_before, benchmark::Counter::kAvgIterations);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(row.traffic_bytes()));
}

// Keeps what one benchmark gave, and prints nothing.
class LastRun : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& /*context*/) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override { run_ = runs.back(); }

  std::string ToJson() const {
    return absl::StrFormat(
        R"({"seconds": %.9g, "iterations": %d, "page_faults": %.3g})",
        run_.GetAdjustedRealTime() /
            benchmark::GetTimeUnitMultiplier(run_.time_unit),
        run_.iterations, run_.counters.at("page_faults").value);
  }

 private:
  Run run_;
};

// Measures what is asked for, one name a line, and answers each with a line.
// This is how compare.py alternates between this program and others.
void Serve() {
  std::cout << absl::StrFormat(R"({"simd_target": "%s", "compiler": "%s"})",
                               std::string(SimdTarget()),
                               GROUPNORM_BENCH_COMPILER)
            << std::endl;
  std::string name;
  while (std::getline(std::cin, name)) {
    LastRun last_run;
    const std::size_t found = benchmark::RunSpecifiedBenchmarks(
        &last_run, absl::StrCat("^", name, "/real_time$"));
    std::cout << (found == 1 ? last_run.ToJson()
                             : R"({"error": "no such benchmark"})")
              << std::endl;
  }
}

// The reason where the machine does not have the target; empty on success.
std::string ForceTarget(std::string_view flag) {
  for (const ForcedTarget& target : kForcedTargets) {
    if (target.flag != flag) continue;
    hwy::SetSupportedTargetsForTest(target.highway_targets);
    if (SimdTarget() == target.name) return {};
    return absl::StrFormat("the kernels do not run on %s here, but on %s",
                           std::string(target.name), std::string(SimdTarget()));
  }
  return absl::StrFormat("--simd_target: expected avx512, avx2 or portable");
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // Takes out the flags that it knows.
  std::string shapes_path = "bench/shapes";
  std::string simd_target;
  bool serve = false;
  CLI::App app(
      "Measures the kernels of groupnorm. Takes the flags of Google Benchmark "
      "too, such as --benchmark_filter=REGEX.");
  app.add_option("--shapes", shapes_path, "File, or folder of files, of shapes")
      ->capture_default_str();
  app.add_option("--simd_target", simd_target,
                 "avx512, avx2 or portable; the best one if not given");
  app.add_flag("--serve", serve,
               "Measure the benchmarks whose names are read from the input");
  CLI11_PARSE(app, argc, argv);

  ChooseVectorsOfLimits();
  if (!simd_target.empty()) {
    const std::string reason = ForceTarget(simd_target);
    if (!reason.empty()) {
      std::cerr << "kernel_bench: " << reason << '\n';
      return 1;
    }
  }
  const absl::StatusOr<std::vector<NamedShape>> shapes =
      ReadShapes(shapes_path);
  if (!shapes.ok()) {
    std::cerr << "kernel_bench: " << shapes.status().message() << '\n';
    return 1;
  }
  Problem problem;
  for (const Row& row : RowsOf(*shapes)) {
    for (const Side side : kSides) {
      benchmark::RegisterBenchmark(
          NameOf(row, side).c_str(),
          [&problem, row, side](benchmark::State& state) {
            Measure(state, problem, row, side);
          })
          ->UseRealTime();
    }
  }
  if (serve) {
    Serve();
  } else {
    benchmark::AddCustomContext("simd_target", std::string(SimdTarget()));
    benchmark::AddCustomContext("compiler", GROUPNORM_BENCH_COMPILER);
    if (benchmark::RunSpecifiedBenchmarks() == 0) return 1;
  }
  benchmark::Shutdown();
  return 0;
}

}  // namespace

}  // namespace groupnorm::bench

int main(int argc, char** argv) { return groupnorm::bench::Main(argc, argv); }
