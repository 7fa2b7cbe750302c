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
    : MessageSlices(SlicesOf(message)) {}

MessageSlices::MessageSlices(std::vector<grpc::Slice> slices)
    : slices_(std::move(slices)) {
  ends_.reserve(slices_.size());
  for (const grpc::Slice& slice : slices_) {
    size_ += slice.size();
    ends_.push_back(size_);
  }
}

std::span<const std::byte> MessageSlices::slice(std::size_t index) const {
  const grpc::Slice& slice = slices_[index];
  return {reinterpret_cast<const std::byte*>(slice.begin()), slice.size()};
}

void MessageSlices::Copy(PayloadRange range, std::byte* destination) const {
  if (range.size == 0) return;
  // The first slice that ends beyond the start: it holds the first byte.
  auto index = static_cast<std::size_t>(
      std::upper_bound(ends_.begin(), ends_.end(), range.offset) -
      ends_.begin());
  std::size_t skipped = range.offset - (ends_[index] - slices_[index].size());
  for (; range.size > 0; ++index, skipped = 0) {
    const std::span<const std::byte> bytes = slice(index).subspan(skipped);
    const std::size_t size = std::min(bytes.size(), range.size);
    if (size > 0) std::memcpy(destination, bytes.data(), size);
    destination += size;
    range.size -= size;
  }
}

}  // namespace groupnorm
