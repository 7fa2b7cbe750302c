#ifndef GROUPNORM_TESTS_UNIT_CLIENT_FAKE_SERVER_H_
#define GROUPNORM_TESTS_UNIT_CLIENT_FAKE_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace groupnorm {

/// A server that answers what a test wants it to, however wrong: the encoded
/// bytes of a response, or an error. Calls may come on several threads.
class FakeServer {
 public:
  /// From the encoded request to the encoded response. The payloads of an error
  /// become its trailing metadata.
  using Method =
      std::function<absl::StatusOr<std::string>(const std::string& request)>;

  struct Methods {
    Method forward = nullptr;
    Method backward = nullptr;
    Method get_server_info = nullptr;
  };

  /// Listens on a free port of the loopback interface, or on `address`.
  explicit FakeServer(Methods methods, std::string address = "127.0.0.1:0");

  /// Cancels the calls that are not answered, and waits for their methods.
  ~FakeServer();

  const std::string& address() const;

  /// The port of the address; 0 for a UNIX socket.
  int port() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_CLIENT_FAKE_SERVER_H_
