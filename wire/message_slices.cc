#include "wire/message_slices.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace groupnorm {

namespace {

std::vector<grpc::Slice> SlicesOf(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  // Fails only for a buffer that was never filled, which has no bytes.
  if (!message.Dump(&slices).ok()) slices.clear();
  return slices;
}

}  // namespace

MessageSlices::MessageSlices(const grpc::ByteBuffer& message)
    : MessageSlices(message, SlicesOf(message)) {}

MessageSlices::MessageSlices(std::vector<grpc::Slice> slices)
    : MessageSlices(grpc::ByteBuffer(slices.data(), slices.size()),
                    std::move(slices)) {}

MessageSlices::MessageSlices(const grpc::ByteBuffer& message,
                             std::vector<grpc::Slice> slices) {
  auto held = std::make_shared<Held>();
  held->message = message;
  held->slices = std::move(slices);
  held->ends.reserve(held->slices.size());
  for (const grpc::Slice& slice : held->slices) {
    held->size += slice.size();
    held->ends.push_back(held->size);
  }
  held_ = std::move(held);
}

std::span<const std::byte> MessageSlices::slice(std::size_t index) const {
  const grpc::Slice& slice = held_->slices[index];
  return {reinterpret_cast<const std::byte*>(slice.begin()), slice.size()};
}

void MessageSlices::Copy(PayloadRange range, std::byte* destination) const {
  if (range.size == 0) return;
  // The first slice that ends beyond the start: it holds the first byte.
  auto index = static_cast<std::size_t>(
      std::upper_bound(held_->ends.begin(), held_->ends.end(), range.offset) -
      held_->ends.begin());
  std::size_t skipped =
      range.offset - (held_->ends[index] - held_->slices[index].size());
  for (; range.size > 0; ++index, skipped = 0) {
    const std::span<const std::byte> bytes = slice(index).subspan(skipped);
    const std::size_t size = std::min(bytes.size(), range.size);
    if (size > 0) std::memcpy(destination, bytes.data(), size);
    destination += size;
    range.size -= size;
  }
}

}  // namespace groupnorm
