#include "server/server_info.h"

#include <algorithm>
#include <string>

#include "absl/time/clock.h"
#include "groupnorm/dtype.h"
#include "kernels/group_norm.h"

namespace groupnorm {

std::string_view ServerVersion() { return GROUPNORM_VERSION; }

v1::GetServerInfoResponse ServerInfo::Describe() const {
  v1::GetServerInfoResponse response;
  response.set_version(std::string(ServerVersion()));
  response.set_max_message_bytes(max_message_bytes);
  for (const DataType dtype : kDataTypes) {
    response.add_dtypes(static_cast<v1::DataType>(dtype));
  }
  response.set_workers(workers);
  response.set_simd_target(std::string(SimdTarget()));
  // The clock of the machine may be set back while the server runs.
  response.set_uptime_seconds(
      std::max<std::int64_t>(0, absl::ToInt64Seconds(absl::Now() - started)));
  return response;
}

}  // namespace groupnorm
