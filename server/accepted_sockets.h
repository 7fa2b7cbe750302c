#ifndef GROUPNORM_SERVER_ACCEPTED_SOCKETS_H_
#define GROUPNORM_SERVER_ACCEPTED_SOCKETS_H_

#include <string>
#include <string_view>
#include <vector>

/// The sockets of connections, which gRPC does not show. It cannot close one
/// that it is writing to: where the peer has stopped reading, it waits for as
/// long as the peer is there. TCP gives such a peer up (TCP_USER_TIMEOUT); UNIX
/// sockets wait for ever. docs/adr/0014 has the whole story.
namespace groupnorm {

/// A name for the unnamed peer of a UNIX socket, in the abstract namespace
/// (without its leading NUL), from which the connection is found again.
std::string UnixPeerName(int fd);

/// Closes a connection over a UNIX socket whose peer leaves no room to write.
/// `peer` is what grpc::ServerContext::peer() says of a call on it. Returns
/// whether it did: not where there is room, nor for other addresses, nor where
/// the peer had no name of UnixPeerName().
bool CloseIfPeerDoesNotRead(std::string_view peer);

/// Where this process listens.
struct ListeningSockets {
  std::vector<std::string> paths;  ///< Of UNIX sockets.
  std::vector<int> ports;          ///< Of TCP, on every address.
};

/// Closes every connection that was made to those. Finds them in /proc, and
/// does nothing where that is not there. Does not throw.
void CloseConnectionsTo(const ListeningSockets& listening);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ACCEPTED_SOCKETS_H_
