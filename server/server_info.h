#ifndef GROUPNORM_SERVER_SERVER_INFO_H_
#define GROUPNORM_SERVER_SERVER_INFO_H_

#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "groupnorm/v1/groupnorm.pb.h"

namespace groupnorm {

/// Version of this build, as in "1.2.3".
std::string_view ServerVersion();

/// What GetServerInfo tells about a running server.
struct ServerInfo {
  std::int64_t max_message_bytes = 0;
  int workers = 0;
  absl::Time started;

  v1::GetServerInfoResponse Describe() const;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_SERVER_INFO_H_
