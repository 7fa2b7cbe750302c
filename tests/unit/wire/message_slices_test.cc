#include "wire/message_slices.h"

#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire_bytes.h"

namespace groupnorm {
namespace {

std::string Copied(const MessageSlices& message, PayloadRange range) {
  std::string bytes(range.size, '\0');
  message.Copy(range, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

TEST(MessageSlices, CopiesEveryRangeOfEverySlicing) {
  const std::string bytes = "0123456789abcdef";
  for (std::size_t slice_size = 1; slice_size <= bytes.size(); ++slice_size) {
    const MessageSlices message = wire_bytes::Sliced(bytes, slice_size);
    for (std::size_t offset = 0; offset <= bytes.size(); ++offset) {
      for (std::size_t size = 0; offset + size <= bytes.size(); ++size) {
        EXPECT_EQ(Copied(message, {offset, size}), bytes.substr(offset, size));
      }
    }
  }
}

TEST(MessageSlices, CopiesAcrossEmptySlices) {
  const MessageSlices message =
      wire_bytes::CutAt("0123456789", {0, 0, 3, 3, 3, 7, 10, 10});
  EXPECT_EQ(message.size(), 10u);
  EXPECT_EQ(message.num_slices(), 9u);
  EXPECT_EQ(Copied(message, {0, 10}), "0123456789");
  EXPECT_EQ(Copied(message, {2, 2}), "23");
  EXPECT_EQ(Copied(message, {3, 1}), "3");
}

TEST(MessageSlices, HoldsTheSlicesOfAByteBufferWithoutACopy) {
  // Longer than what gRPC keeps inside a slice itself.
  const std::vector<grpc::Slice> slices = {grpc::Slice(std::string(100, 'a')),
                                           grpc::Slice(std::string(200, 'b'))};
  const MessageSlices message(grpc::ByteBuffer(slices.data(), slices.size()));
  ASSERT_EQ(message.num_slices(), 2u);
  EXPECT_EQ(message.size(), 300u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(static_cast<const void*>(message.slice(i).data()),
              static_cast<const void*>(slices[i].begin()));
    EXPECT_EQ(message.slice(i).size(), slices[i].size());
  }
}

TEST(MessageSlices, IsEmptyForAByteBufferThatWasNeverFilled) {
  const MessageSlices message{grpc::ByteBuffer()};
  EXPECT_EQ(message.size(), 0u);
  EXPECT_EQ(message.num_slices(), 0u);
}

}  // namespace
}  // namespace groupnorm
