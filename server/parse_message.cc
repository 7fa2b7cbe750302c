#include "server/parse_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>

namespace groupnorm {

bool ParseMessage(const grpc::ByteBuffer& message,
                  google::protobuf::Message& parsed) {
  grpc::ByteBuffer read = message;
  return grpc::GenericDeserialize<grpc::ProtoBufferReader,
                                  google::protobuf::Message>(&read, &parsed)
      .ok();
}

}  // namespace groupnorm
