#ifndef GROUPNORM_CLIENT_SERVER_INFO_H_
#define GROUPNORM_CLIENT_SERVER_INFO_H_

#include "groupnorm/client.h"
#include "groupnorm/v1/groupnorm.pb.h"

namespace groupnorm {

/// What GetServerInfo answered, without the element types that this client does
/// not know.
ServerInfo InfoOf(const v1::GetServerInfoResponse& response);

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_SERVER_INFO_H_
