#include "tests/testing/raw_call.h"

#include <grpcpp/impl/codegen/rpc_method.h>

#include <utility>

namespace groupnorm {

RawCall::RawCall(std::shared_ptr<grpc::Channel> channel,
                 const std::string& method, std::chrono::milliseconds timeout,
                 grpc_compression_algorithm compression)
    : channel_(std::move(channel)),
      path_(method.starts_with("/")
                ? method
                : "/groupnorm.v1.GroupNormService/" + method),
      method_(path_.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING,
              channel_) {
  context_.set_deadline(std::chrono::system_clock::now() + timeout);
  context_.set_compression_algorithm(compression);
  stream_.reset(grpc::internal::ClientReaderWriterFactory<
                grpc::ByteBuffer, grpc::ByteBuffer>::Create(channel_.get(),
                                                            method_,
                                                            &context_));
}

RawCall::~RawCall() {
  if (finished_) return;
  Cancel();
  Finish();
}

bool RawCall::Send(const grpc::ByteBuffer& message) {
  return stream_->Write(message);
}

bool RawCall::Send(const std::string& message) {
  const grpc::Slice slice(message);
  return Send(grpc::ByteBuffer(&slice, 1));
}

void RawCall::EndRequest() { stream_->WritesDone(); }

grpc::Status RawCall::Finish() {
  finished_ = true;
  stream_->Read(&response_);
  return stream_->Finish();
}

std::string RawCall::TrailingMetadatum(const std::string& key) const {
  const auto& metadata = context_.GetServerTrailingMetadata();
  const auto found = metadata.find(key);
  return found == metadata.end()
             ? std::string()
             : std::string(found->second.data(), found->second.size());
}

}  // namespace groupnorm
