#ifndef GROUPNORM_BENCH_SERVICE_FORWARD_CASE_H_
#define GROUPNORM_BENCH_SERVICE_FORWARD_CASE_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <vector>

#include "groupnorm/v1/groupnorm.pb.h"
#include "tensor/buffer_pool.h"

namespace groupnorm::bench {

/// The call that the service benchmark makes again and again: Forward of a
/// float32 tensor of shape (1, 32, n) in 8 groups without weight and bias, so
/// that request and response are hardly larger than the tensor.
struct ForwardCase {
  v1::ForwardRequest request;
  v1::ForwardResponse response;  ///< The right one, to the bit.

  /// Precondition: `tensor_bytes` is a positive multiple of kTensorGrain.
  static ForwardCase Of(std::size_t tensor_bytes);

  /// One float in each channel.
  static constexpr std::size_t kTensorGrain = 32 * sizeof(float);
};

/// What a server of generated messages computes with: the kernels of groupnorm,
/// straight from message to message. One thread at a time.
class ForwardArithmetic {
 public:
  /// Answers requests such as those of ForwardCase; INVALID_ARGUMENT for
  /// others. What `response` holds already is written over, so that one used
  /// again costs no allocation.
  grpc::Status Run(const v1::ForwardRequest& request,
                   v1::ForwardResponse& response);

 private:
  static constexpr std::size_t kMaxIdleBytes = std::size_t{64} << 20;
  BufferPool scratch_{kMaxIdleBytes};
  std::vector<double> ones_, zeros_;  // Weight and bias.
};

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_SERVICE_FORWARD_CASE_H_
