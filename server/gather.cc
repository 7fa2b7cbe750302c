#include "server/gather.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "tensor/element.h"

namespace groupnorm {
namespace {

// Bytes that one task writes: some 100 us at memory speed, so that a worker
// looks at other requests in between.
constexpr std::int64_t kTaskBytes = std::int64_t{1} << 20;
constexpr std::int64_t kTaskDoubles = kTaskBytes / 8;

// Elements that are converted at a time, through the stack.
constexpr std::size_t kConvertedAtOnce = 512;

std::int64_t NumTasks(std::int64_t size, std::int64_t task_size) {
  return size / task_size + (size % task_size != 0 ? 1 : 0);
}

void GatherDoubles(const MessageSlices& message, const TensorPayload& tensor,
                   std::size_t first, std::span<double> destination) {
  const std::size_t element_size = ElementSize(tensor.dtype);
  std::array<std::byte, kConvertedAtOnce * sizeof(double)> elements;
  for (std::size_t done = 0; done < destination.size();) {
    const std::size_t count =
        std::min(kConvertedAtOnce, destination.size() - done);
    message.Copy({.offset = tensor.data.offset + (first + done) * element_size,
                  .size = count * element_size},
                 elements.data());
    ElementsToDoubles(tensor.dtype, elements.data(),
                      destination.subspan(done, count));
    done += count;
  }
}

}  // namespace

Gather::Gather(MessageSlices message, std::function<void()> gathered)
    : message_(std::move(message)), gathered_(std::move(gathered)) {}

void Gather::AddElements(const TensorPayload& tensor, std::byte* destination) {
  Add({.tensor = tensor,
       .elements = destination,
       .num_tasks =
           NumTasks(static_cast<std::int64_t>(tensor.data.size), kTaskBytes)});
}

void Gather::AddDoubles(const TensorPayload& tensor,
                        std::span<double> destination) {
  assert(tensor.data.size == destination.size() * ElementSize(tensor.dtype));
  Add({.tensor = tensor,
       .doubles = destination,
       .num_tasks = NumTasks(static_cast<std::int64_t>(destination.size()),
                             kTaskDoubles)});
}

void Gather::AddConstant(double value, std::span<double> destination) {
  Add({.doubles = destination,
       .constant = true,
       .value = value,
       .num_tasks = NumTasks(static_cast<std::int64_t>(destination.size()),
                             kTaskDoubles)});
}

void Gather::RunTask(std::int64_t /*phase*/, std::int64_t task) {
  const Part* part = parts_.data();
  for (; task >= part->num_tasks; ++part) task -= part->num_tasks;
  RunPart(*part, task);
  if (tasks_finished_.fetch_add(1) + 1 == num_tasks_) {
    message_ = MessageSlices();
    gathered_();
  }
}

void Gather::Add(const Part& part) {
  assert(num_parts_ < kMaxParts);
  parts_[static_cast<std::size_t>(num_parts_++)] = part;
  num_tasks_ += part.num_tasks;
}

void Gather::RunPart(const Part& part, std::int64_t task) const {
  if (part.elements != nullptr) {
    const auto offset = static_cast<std::size_t>(task * kTaskBytes);
    const std::size_t size = std::min(part.tensor.data.size - offset,
                                      static_cast<std::size_t>(kTaskBytes));
    message_.Copy({.offset = part.tensor.data.offset + offset, .size = size},
                  part.elements + offset);
    return;
  }
  const auto first = static_cast<std::size_t>(task * kTaskDoubles);
  const std::span<double> destination = part.doubles.subspan(
      first, std::min(part.doubles.size() - first,
                      static_cast<std::size_t>(kTaskDoubles)));
  if (part.constant) {
    std::fill(destination.begin(), destination.end(), part.value);
  } else {
    GatherDoubles(message_, part.tensor, first, destination);
  }
}

}  // namespace groupnorm
