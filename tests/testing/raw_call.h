#ifndef GROUPNORM_TESTS_TESTING_RAW_CALL_H_
#define GROUPNORM_TESTS_TESTING_RAW_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <memory>
#include <string>

namespace groupnorm {

/// A call taken step by step: its headers are sent when it is made, its body
/// when the test says so. What no unary stub does, but any client may.
class RawCall {
 public:
  /// `method` is "Forward", "Backward", "GetServerInfo", or the path of a
  /// method of another service, as in "/package.Service/Method".
  RawCall(std::shared_ptr<grpc::Channel> channel, const std::string& method,
          std::chrono::milliseconds timeout = std::chrono::minutes(5),
          grpc_compression_algorithm compression = GRPC_COMPRESS_NONE);

  /// Cancels the call unless Finish() was called.
  ~RawCall();

  /// False where the call is over already.
  bool Send(const grpc::ByteBuffer& message);
  bool Send(const std::string& message);

  /// Says that no message follows.
  void EndRequest();

  void Cancel() { context_.TryCancel(); }

  /// Waits until the server has begun to reply.
  void AwaitReply() { stream_->WaitForInitialMetadata(); }

  /// Waits for the response, where there is one, and for the status.
  grpc::Status Finish();

  /// The response that Finish() got, as it was encoded.
  const grpc::ByteBuffer& response() const { return response_; }

  /// A trailing metadatum that Finish() got; empty where there is none.
  std::string TrailingMetadatum(const std::string& key) const;

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::string path_;
  grpc::internal::RpcMethod method_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>
      stream_;
  grpc::ByteBuffer response_;
  bool finished_ = false;
};

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_RAW_CALL_H_
