#ifndef GROUPNORM_TESTS_UNIT_CLIENT_LOST_SERVERS_H_
#define GROUPNORM_TESTS_UNIT_CLIENT_LOST_SERVERS_H_

#include <string>

/// Servers that are not there, or no longer.
namespace groupnorm {

/// A directory that is removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  /// The address of a socket within.
  std::string unix_address(const std::string& name = "socket") const;

 private:
  std::string path_;
};

/// A port of the loopback interface that nobody else can take.
class ReservedPort {
 public:
  ReservedPort();
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;

  std::string address() const;

  /// From now on connections are accepted, by the kernel, and never answered:
  /// as with a process that is stopped.
  void Listen();

 private:
  int socket_;
  int port_ = 0;
};

/// Breaks every connection that this process has accepted on a port, as the end
/// of the server's process would.
void CutConnections(int port);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_CLIENT_LOST_SERVERS_H_
