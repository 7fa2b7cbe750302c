#include "server/rounding.h"

#include <algorithm>

#include "tensor/element.h"

namespace groupnorm {
namespace {

// Some 100 us: a worker looks at other requests in between.
constexpr std::int64_t kTaskValues = std::int64_t{1} << 16;

}  // namespace

void Rounding::Add(std::span<const double> values, std::byte* elements) {
  const auto count = static_cast<std::int64_t>(values.size());
  parts_.push_back({values, elements, (count + kTaskValues - 1) / kTaskValues});
}

std::int64_t Rounding::num_tasks(std::int64_t /*phase*/) const {
  std::int64_t num_tasks = 0;
  for (const Part& part : parts_) num_tasks += part.num_tasks;
  return num_tasks;
}

void Rounding::RunTask(std::int64_t /*phase*/, std::int64_t task) {
  const Part* part = parts_.data();
  for (; task >= part->num_tasks; ++part) task -= part->num_tasks;
  const auto first = static_cast<std::size_t>(task * kTaskValues);
  const std::size_t count = std::min(part->values.size() - first,
                                     static_cast<std::size_t>(kTaskValues));
  DoublesToElements(dtype_, part->values.subspan(first, count),
                    part->elements + first * ElementSize(dtype_));
}

}  // namespace groupnorm
