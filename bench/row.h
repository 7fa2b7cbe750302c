#ifndef GROUPNORM_BENCH_ROW_H_
#define GROUPNORM_BENCH_ROW_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "groupnorm/dtype.h"
#include "groupnorm/shape.h"
#include "tensor/group_geometry.h"

namespace groupnorm::bench {

enum class Direction : std::uint8_t { kForward, kBackward };

/// A shape of bench/shapes/.
struct NamedShape {
  Shape shape;  ///< As in the file: channels first.
  std::int64_t num_groups = 1;
  std::string name;  ///< As in "2x320x64x64_G32".
};

/// One row of the results: what is computed, and by how many threads.
struct Row {
  Direction direction = Direction::kForward;
  DataType dtype = DataType::kFloat32;
  GroupGeometry geometry;
  std::string shape_name;
  int threads = 1;

  /// As in "forward/float32/channels_first/2x320x64x64_G32/threads:1".
  std::string Name() const;

  /// Bytes of one tensor.
  std::size_t tensor_bytes() const;

  /// Bytes that have to be moved at least: the input and the output of Forward;
  /// the two inputs and the output of Backward.
  std::size_t traffic_bytes() const;
};

/// Reads one shape a line, as in `2,320,64,64 G32`; blank lines and what
/// follows a # are skipped. `path` is such a file, or a folder of *.txt files.
/// Fails with NOT_FOUND where there is nothing to read, and with
/// INVALID_ARGUMENT, naming file and line, where a line is not a shape whose
/// channels fall into that many groups.
absl::StatusOr<std::vector<NamedShape>> ReadShapes(const std::string& path);

/// Every direction, element type, layout and number of threads (1 and 2) of
/// every shape. A shape without spatial axes has one layout only.
std::vector<Row> RowsOf(const std::vector<NamedShape>& shapes);

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_ROW_H_
