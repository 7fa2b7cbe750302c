#ifndef GROUPNORM_SERVER_LISTEN_ADDRESS_H_
#define GROUPNORM_SERVER_LISTEN_ADDRESS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace groupnorm {

/// Where a server listens: `host:port`, `[ipv6]:port` or `unix:path`.
class ListenAddress {
 public:
  /// INVALID_ARGUMENT that names --listen, the text and what was expected.
  static absl::StatusOr<ListenAddress> Parse(std::string_view text);

  /// Whether only this machine can reach it: a UNIX socket, `localhost`,
  /// 127.0.0.0/8 or ::1.
  bool is_local() const;

  /// As gRPC takes it.
  const std::string& text() const { return text_; }

  /// Of a UNIX socket; empty for others.
  const std::string& path() const { return path_; }

  /// With the port that was really bound.
  std::string WithPort(int port) const;

  /// What to ask where the address could not be bound, for the end of a line.
  const char* QuestionIfNotBound() const;

  /// Removes the socket file that a server left behind when it died. Does
  /// nothing for other addresses. UNAVAILABLE where a process may still use
  /// it (gRPC would take the path away from that process without a word), or
  /// where the file is something else.
  absl::Status RemoveStaleSocket() const;

 private:
  std::string text_;
  std::string host_;
  std::string path_;  // Not empty: a UNIX socket.
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_LISTEN_ADDRESS_H_
