#include "client/cli/verify/report.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/str_format.h"

namespace groupnorm::verify {

namespace {

constexpr std::size_t kMaxDescribed = 6;

// The bound of an output in words; docs/math.md has the formulas.
std::string_view BoundInWords(Output output, DataType dtype) {
  if (output == Output::kMean) return "1e-12 std + 1 ulp";
  if (output == Output::kRstd) return "1e-11 |v|, FLOAT64 1e-12";
  switch (dtype) {
    case DataType::kFloat32:
      return "3 ulp of max(|v|, T)";
    case DataType::kFloat64:
      return output == Output::kOutput || output == Output::kGradInput
                 ? "1e-12 max(|v|, T)"
                 : "1e-12 or 1.1e-11 max(|v|, T)";
    case DataType::kFloat16:
    case DataType::kBfloat16:
      break;
  }
  return "FLOAT32's, then rounded";
}

// Digits that tell neighbouring values of an element type apart.
int SignificantDigits(DataType dtype) {
  return dtype == DataType::kFloat64 ? 17 : 9;
}

std::string DescribeWrong(std::string_view description,
                          const OutputCheck& check) {
  const WrongElement& wrong = *check.first_wrong;
  const int digits = SignificantDigits(check.dtype);
  return absl::StrFormat(
      "%s:\n  %s[%d] (%s): expected %.*g, got %.*g, bound %.3g; %d of %d "
      "values are wrong\n",
      description, OutputName(check.output), wrong.index,
      DataTypeName(check.dtype), digits, wrong.expected, digits, wrong.got,
      wrong.bound, check.comparison.num_wrong, check.num_values);
}

// 1234567 as "1,234,567".
std::string WithCommas(std::int64_t number) {
  std::string text = absl::StrFormat("%d", number);
  for (std::ptrdiff_t position = std::ssize(text) - 3; position > 0;
       position -= 3) {
    text.insert(text.begin() + position, ',');
  }
  return text;
}

std::string Counted(std::int64_t number, std::string_view thing) {
  return absl::StrFormat("%s %s%s", WithCommas(number), thing,
                         number == 1 ? "" : "s");
}

}  // namespace

void Report::Add(std::string_view description, bool ordinary,
                 std::span<const OutputCheck> checks) {
  ++num_problems_;
  for (const OutputCheck& check : checks) {
    const reference::Comparison& comparison = check.comparison;
    Row& row = rows_[{!ordinary, check.output, check.dtype}];
    const auto num_wrong = static_cast<std::int64_t>(comparison.num_wrong);
    if (row.num_wrong == 0 && num_wrong > 0 &&
        first_wrong_.size() < kMaxDescribed) {
      first_wrong_.push_back(DescribeWrong(description, check));
    }
    row.num_values += check.num_values;
    row.num_wrong += num_wrong;
    row.max_absolute_error =
        std::max(row.max_absolute_error, comparison.max_absolute_error);
    row.max_ulp_error = std::max(row.max_ulp_error, comparison.max_ulp_error);
    row.max_bound_ratio =
        std::max(row.max_bound_ratio, comparison.max_bound_ratio);
    num_values_ += check.num_values;
    num_wrong_ += num_wrong;
  }
}

void Report::AddNotRun(std::string_view what, std::string_view reason) {
  const auto same = [&](const NotRun& entry) {
    return entry.what == what && entry.reason == reason;
  };
  auto entry = std::find_if(not_run_.begin(), not_run_.end(), same);
  if (entry == not_run_.end()) {
    entry = not_run_.insert(entry, {std::string(what), std::string(reason), 0});
  }
  ++entry->num_cells;
}

std::string Report::ToString() const {
  std::string text;
  const bool only_ordinary =
      std::none_of(rows_.begin(), rows_.end(),
                   [](const auto& entry) { return entry.first.extreme; });
  if (only_ordinary) {
    AppendTable(/*extreme=*/false, "", text);
  } else {
    AppendTable(/*extreme=*/false, "Values of ordinary size\n", text);
    AppendTable(/*extreme=*/true, "At the ends of the number range\n", text);
  }
  text +=
      "max ulp: units in the last place of max(|v|, T); v: the right value, T: "
      "its typical magnitude.\n"
      "error/bound: at most 1 is right; of 16-bit values, which are right or "
      "wrong, 0 is.\n"
      "Backward without statistics may also miss by what the rounding of its "
      "mean brings: docs/math.md.\n";
  AppendNotRun(text);
  AppendVerdict(text);
  return text;
}

void Report::AppendTable(bool extreme, std::string_view title,
                         std::string& text) const {
  absl::StrAppendFormat(&text, "%s%-11s %-8s %11s %9s %9s %11s  %s\n", title,
                        "output", "dtype", "values", "max error", "max ulp",
                        "error/bound", "bound");
  for (const auto& [key, row] : rows_) {
    if (key.extreme != extreme) continue;
    absl::StrAppendFormat(
        &text, "%-11s %-8s %11s %9.2g %9.2g %11.2g  %-28s %s\n",
        OutputName(key.output), DataTypeName(key.dtype),
        WithCommas(row.num_values), row.max_absolute_error, row.max_ulp_error,
        row.max_bound_ratio, BoundInWords(key.output, key.dtype),
        row.num_wrong == 0 ? "ok" : "EXCEEDED");
  }
  text += "\n";
}

void Report::AppendNotRun(std::string& text) const {
  if (not_run_.empty()) return;
  text += "\nNot run:\n";
  for (const NotRun& entry : not_run_) {
    absl::StrAppendFormat(&text, "  %s: %s (%s)\n", entry.what, entry.reason,
                          Counted(entry.num_cells, "cell"));
  }
}

void Report::AppendVerdict(std::string& text) const {
  if (!first_wrong_.empty()) text += "\nFirst wrong value of each row:\n";
  for (const std::string& wrong : first_wrong_) text += wrong;
  // Each problem is a Forward and a Backward.
  absl::StrAppendFormat(
      &text, "\n%s, %s compared: %s\n", Counted(2 * num_problems_, "request"),
      Counted(num_values_, "value"),
      ok() ? "all within their bounds"
           : Counted(num_wrong_, "value") + " EXCEEDED the bound");
}

}  // namespace groupnorm::verify
