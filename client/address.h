#ifndef GROUPNORM_CLIENT_ADDRESS_H_
#define GROUPNORM_CLIENT_ADDRESS_H_

#include <string>

#include "absl/status/status.h"

namespace groupnorm {

/// INVALID_ARGUMENT that names the address unless it is as
/// ClientOptions::address says: one address, or a list that gRPC can resolve.
/// Resolves nothing.
absl::Status ValidateAddress(const std::string& address);

/// Whether a valid address is a list of several.
bool IsList(const std::string& address);

/// Whether a valid address, or every one of a list, stays on this machine by
/// its form: `localhost`, 127.0.0.0/8, ::1 or a UNIX socket.
bool IsLoopback(const std::string& address);

/// What gRPC calls a valid address. A host named as one of gRPC's URI schemes
/// (`dns:50051`) stays a host.
std::string TargetOf(const std::string& address);

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_ADDRESS_H_
