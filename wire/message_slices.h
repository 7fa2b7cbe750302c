#ifndef GROUPNORM_WIRE_MESSAGE_SLICES_H_
#define GROUPNORM_WIRE_MESSAGE_SLICES_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <span>
#include <vector>

#include "wire/tensor_payload.h"

namespace groupnorm {

/// The bytes of one encoded message as gRPC received them: in slices of any
/// length, whose borders may fall anywhere. Holds references, copies nothing.
/// Immutable, so safe to read from several threads.
class MessageSlices {
 public:
  MessageSlices() = default;
  explicit MessageSlices(const grpc::ByteBuffer& message);
  explicit MessageSlices(std::vector<grpc::Slice> slices);

  std::size_t size() const { return size_; }
  std::size_t num_slices() const { return slices_.size(); }

  /// Precondition: index < num_slices().
  std::span<const std::byte> slice(std::size_t index) const;

  /// Copies a range to `destination`. Precondition: it lies within the message.
  /// Takes O(log num_slices) to find its start.
  void Copy(PayloadRange range, std::byte* destination) const;

 private:
  std::vector<grpc::Slice> slices_;
  std::vector<std::size_t> ends_;  // Offset after each slice.
  std::size_t size_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_MESSAGE_SLICES_H_
