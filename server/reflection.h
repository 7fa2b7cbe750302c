#ifndef GROUPNORM_SERVER_REFLECTION_H_
#define GROUPNORM_SERVER_REFLECTION_H_

#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace groupnorm {

/// Answers one question about the services of the server, from the descriptors
/// that are linked into the program. What is not found is an answer too: an
/// error_response with NOT_FOUND, whose text is as short as that of a status.
/// Thread-safe.
grpc::reflection::v1alpha::ServerReflectionResponse DescribeServices(
    const grpc::reflection::v1alpha::ServerReflectionRequest& request);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_REFLECTION_H_
