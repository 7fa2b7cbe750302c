#include "client/server_info.h"

namespace groupnorm {

ServerInfo InfoOf(const v1::GetServerInfoResponse& response) {
  ServerInfo info;
  info.version = response.version();
  info.max_message_bytes = response.max_message_bytes();
  for (const int value : response.dtypes()) {
    if (const auto dtype = DataTypeFromValue(value)) {
      info.dtypes.push_back(*dtype);
    }
  }
  info.workers = response.workers();
  info.simd_target = response.simd_target();
  info.uptime = absl::Seconds(response.uptime_seconds());
  return info;
}

}  // namespace groupnorm
