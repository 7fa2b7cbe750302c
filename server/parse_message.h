#ifndef GROUPNORM_SERVER_PARSE_MESSAGE_H_
#define GROUPNORM_SERVER_PARSE_MESSAGE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

namespace groupnorm {

/// Parses `message`, as it came from a client, into `parsed`; leaves `message`
/// as it is. False where it is not valid.
bool ParseMessage(const grpc::ByteBuffer& message,
                  google::protobuf::Message& parsed);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_PARSE_MESSAGE_H_
