#include "client/cli/verify/run.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/verify/values.h"

namespace groupnorm::verify {

absl::StatusOr<Report> RunCells(const Service& service,
                                std::span<const Cell> cells, std::uint64_t seed,
                                const Progress& progress) {
  Report report;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    progress(i);
    const Cell& cell = cells[i];
    const Problem problem = MakeProblem(cell, seed, i);
    if (const std::optional<std::string> reason =
            ReasonNotRun(cell, problem.input);
        reason.has_value()) {
      report.AddNotRun(
          absl::StrFormat("%s %s", DataTypeName(cell.dtype), cell.range.name),
          *reason);
      continue;
    }
    const absl::StatusOr<std::vector<OutputCheck>> checks =
        CheckProblem(service, problem);
    if (!checks.ok()) {
      return absl::Status(
          checks.status().code(),
          absl::StrCat(Describe(cell), ": ", checks.status().message()));
    }
    report.Add(Describe(cell), cell.range.ordinary, *checks);
  }
  return report;
}

}  // namespace groupnorm::verify
