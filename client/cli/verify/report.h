#ifndef GROUPNORM_CLIENT_CLI_VERIFY_REPORT_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_REPORT_H_

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/verify/check.h"

namespace groupnorm::verify {

/// What a verification found, and how it is told.
class Report {
 public:
  /// Takes in the outputs of one problem. `description` names the problem where
  /// one of them is wrong. Where there are others, problems with values of
  /// ordinary size are tabled apart from them.
  void Add(std::string_view description, bool ordinary,
           std::span<const OutputCheck> checks);

  /// Takes in a cell that was not run.
  void AddNotRun(std::string_view what, std::string_view reason);

  /// Whether every number was within its bound.
  bool ok() const { return num_wrong_ == 0; }

  /// Numbers beyond their bounds.
  std::int64_t num_wrong() const { return num_wrong_; }

  /// The tables, the cells that were not run, the first wrong number of each
  /// row (of six at most) and, as last line, the verdict. Lines of less than
  /// 100 columns, except where a description is longer.
  std::string ToString() const;

 private:
  // What one row of a table is about.
  struct RowKey {
    bool extreme = false;
    Output output = Output::kOutput;
    DataType dtype = DataType::kFloat32;
    friend auto operator<=>(const RowKey&, const RowKey&) = default;
  };
  struct Row {
    std::int64_t num_values = 0;
    std::int64_t num_wrong = 0;
    long double max_absolute_error = 0;
    long double max_ulp_error = 0;
    long double max_bound_ratio = 0;
  };
  struct NotRun {
    std::string what;
    std::string reason;
    std::int64_t num_cells = 0;
  };

  void AppendTable(bool extreme, std::string_view title,
                   std::string& text) const;
  void AppendNotRun(std::string& text) const;
  void AppendVerdict(std::string& text) const;

  std::map<RowKey, Row> rows_;
  std::vector<NotRun> not_run_;
  std::vector<std::string> first_wrong_;  // Of the first few wrong rows.
  std::int64_t num_problems_ = 0;
  std::int64_t num_values_ = 0;
  std::int64_t num_wrong_ = 0;
};

}  // namespace groupnorm::verify

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_REPORT_H_
