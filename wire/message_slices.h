#ifndef GROUPNORM_WIRE_MESSAGE_SLICES_H_
#define GROUPNORM_WIRE_MESSAGE_SLICES_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "wire/tensor_payload.h"

namespace groupnorm {

/// The bytes of one encoded message as gRPC received them: in slices of any
/// length, whose borders may fall anywhere. Holds references, copies nothing;
/// copies of it share them. Immutable, so safe to read from several threads,
/// and to let go of on any.
class MessageSlices {
 public:
  MessageSlices() = default;
  explicit MessageSlices(const grpc::ByteBuffer& message);
  explicit MessageSlices(std::vector<grpc::Slice> slices);

  std::size_t size() const { return held_ == nullptr ? 0 : held_->size; }
  std::size_t num_slices() const {
    return held_ == nullptr ? 0 : held_->slices.size();
  }

  /// Precondition: index < num_slices().
  std::span<const std::byte> slice(std::size_t index) const;

  /// Copies a range to `destination`. Precondition: it lies within the message.
  /// Takes O(log num_slices) to find its start.
  void Copy(PayloadRange range, std::byte* destination) const;

 private:
  // The last reference to received bytes has to be a ByteBuffer's, so it stands
  // first and is destroyed last. Where gRPC is short of memory, the end of that
  // reference wakes what waits for some; gRPC 1.51 prepares for that in
  // grpc_byte_buffer_destroy(), and in grpc_slice_unref() crashes outside of
  // its own functions.
  struct Held {
    grpc::ByteBuffer message;
    std::vector<grpc::Slice> slices;
    std::vector<std::size_t> ends;  // Offset after each slice.
    std::size_t size = 0;
  };

  MessageSlices(const grpc::ByteBuffer& message,
                std::vector<grpc::Slice> slices);

  std::shared_ptr<const Held> held_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_MESSAGE_SLICES_H_
