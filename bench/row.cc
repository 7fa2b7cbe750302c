#include "bench/row.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace groupnorm::bench {

namespace {

// "2,320,64,64 G32".
absl::StatusOr<NamedShape> ParseShape(const std::string& line) {
  std::istringstream words(line);
  std::string extents_text, groups_text, rest;
  words >> extents_text >> groups_text >> rest;
  NamedShape result;
  std::vector<std::int64_t> extents;
  for (const auto part : absl::StrSplit(extents_text, ',')) {
    if (!absl::SimpleAtoi(part, &extents.emplace_back())) {
      return absl::InvalidArgumentError("expected extents as in 2,320,64,64");
    }
  }
  if (!rest.empty() || groups_text.empty() || groups_text.front() != 'G' ||
      !absl::SimpleAtoi(groups_text.substr(1), &result.num_groups)) {
    return absl::InvalidArgumentError("expected a number of groups as in G32");
  }
  absl::StatusOr<Shape> shape = Shape::Create(extents);
  if (!shape.ok()) return shape.status();
  if (shape->rank() < 2 || shape->num_elements() == 0 ||
      result.num_groups < 1 || shape->extent(1) % result.num_groups != 0) {
    return absl::InvalidArgumentError(
        "expected a batch and channels that fall into the groups");
  }
  result.shape = *shape;
  result.name = absl::StrCat(absl::StrJoin(extents, "x"), "_", groups_text);
  return result;
}

absl::Status ReadFile(const std::filesystem::path& path,
                      std::vector<NamedShape>& shapes) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(path.string(), ": no file"));
  }
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line.resize(std::min(line.size(), line.find('#')));
    absl::StripAsciiWhitespace(&line);
    if (line.empty()) continue;
    absl::StatusOr<NamedShape> shape = ParseShape(line);
    if (!shape.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path.string(), ":", number, ": ", shape.status().message()));
    }
    shapes.push_back(*std::move(shape));
  }
  return absl::OkStatus();
}

std::string_view NameOf(Direction direction) {
  return direction == Direction::kForward ? "forward" : "backward";
}

std::string_view NameOf(Layout layout) {
  return layout == Layout::kChannelsFirst ? "channels_first" : "channels_last";
}

}  // namespace

std::string Row::Name() const {
  std::ostringstream name;
  name << NameOf(direction) << '/'
       << absl::AsciiStrToLower(std::string(DataTypeName(dtype))) << '/'
       << NameOf(geometry.layout) << '/' << shape_name
       << "/threads:" << threads;
  return name.str();
}

std::size_t Row::tensor_bytes() const {
  return static_cast<std::size_t>(geometry.num_elements()) * ElementSize(dtype);
}

std::size_t Row::traffic_bytes() const {
  return tensor_bytes() * (direction == Direction::kForward ? 2 : 3);
}

absl::StatusOr<std::vector<NamedShape>> ReadShapes(const std::string& path) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".txt") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
  } else {
    files.emplace_back(path);
  }
  std::vector<NamedShape> shapes;
  for (const std::filesystem::path& file : files) {
    const absl::Status status = ReadFile(file, shapes);
    if (!status.ok()) return status;
  }
  if (shapes.empty()) {
    return absl::NotFoundError(absl::StrCat(path, ": no shapes"));
  }
  return shapes;
}

std::vector<Row> RowsOf(const std::vector<NamedShape>& shapes) {
  std::vector<Row> rows;
  for (const NamedShape& named : shapes) {
    GroupGeometry geometry = GroupGeometry::Of(
        named.shape, Layout::kChannelsFirst, named.num_groups);
    for (const Direction direction :
         {Direction::kForward, Direction::kBackward}) {
      for (const DataType dtype : kDataTypes) {
        for (const Layout layout :
             {Layout::kChannelsFirst, Layout::kChannelsLast}) {
          if (layout == Layout::kChannelsLast && named.shape.rank() == 2) {
            continue;
          }
          geometry.layout = layout;
          for (const int threads : {1, 2}) {
            rows.push_back({direction, dtype, geometry, named.name, threads});
          }
        }
      }
    }
  }
  return rows;
}

}  // namespace groupnorm::bench
