#include "wire/response.h"

#include <grpcpp/support/slice.h>

#include <array>
#include <cassert>
#include <memory>
#include <utility>

#include "wire/message_writer.h"

namespace groupnorm {

namespace {

std::int64_t StatisticsBytes(const ForwardResponseTensors& response) {
  return SaturatingSum(TensorFieldBytes(response.mean),
                       TensorFieldBytes(response.rstd));
}

void DeleteBuffer(void* buffer) { delete static_cast<Buffer*>(buffer); }

// A slice that owns the buffer, whose bytes stay where they are.
grpc::Slice SliceOf(Buffer buffer) {
  auto owner = std::make_unique<Buffer>(std::move(buffer));
  std::byte* const data = owner->data();
  const std::size_t size = owner->size();
  return grpc::Slice(data, size, DeleteBuffer, owner.release());
}

std::byte* BytesOf(grpc::Slice& slice) {
  return const_cast<std::byte*>(
      reinterpret_cast<const std::byte*>(slice.begin()));
}

grpc::ByteBuffer Message(grpc::Slice header, Buffer payload) {
  if (payload.size() == 0) return grpc::ByteBuffer(&header, 1);
  const std::array slices = {std::move(header), SliceOf(std::move(payload))};
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace

std::int64_t EncodedBytes(const ForwardResponseTensors& response) {
  return SaturatingSum(DelimitedFieldBytes(StatisticsBytes(response)),
                       TensorFieldBytes(response.output));
}

std::int64_t EncodedBytes(const BackwardResponseTensors& response) {
  return SaturatingSum(SaturatingSum(TensorFieldBytes(response.grad_weight),
                                     TensorFieldBytes(response.grad_bias)),
                       TensorFieldBytes(response.grad_input));
}

grpc::ByteBuffer EncodeForwardResponse(const ForwardResponseTensors& response,
                                       Buffer output) {
  assert(output.size() == response.output.size_bytes());
  grpc::Slice header(static_cast<std::size_t>(EncodedBytes(response)) -
                     output.size());
  MessageWriter writer(BytesOf(header));
  writer.DelimitedHeader(1, StatisticsBytes(response));
  writer.TensorField(1, response.mean);
  writer.TensorField(2, response.rstd);
  writer.TensorHeader(15, response.output);
  return Message(std::move(header), std::move(output));
}

grpc::ByteBuffer EncodeBackwardResponse(const BackwardResponseTensors& response,
                                        Buffer grad_input) {
  assert(grad_input.size() ==
         (response.grad_input ? response.grad_input->size_bytes() : 0));
  grpc::Slice header(static_cast<std::size_t>(EncodedBytes(response)) -
                     grad_input.size());
  MessageWriter writer(BytesOf(header));
  writer.TensorField(1, response.grad_weight);
  writer.TensorField(2, response.grad_bias);
  if (response.grad_input.has_value()) {
    writer.TensorHeader(15, *response.grad_input);
  }
  return Message(std::move(header), std::move(grad_input));
}

}  // namespace groupnorm
