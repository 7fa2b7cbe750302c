#ifndef GROUPNORM_SERVER_ACCEPT_H_
#define GROUPNORM_SERVER_ACCEPT_H_

namespace groupnorm {

/// Keeps a file descriptor aside, which accept.cc needs to refuse connections
/// with once there are no others. Call once, before the server starts.
void ReserveDescriptorToRefuseWith();

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ACCEPT_H_
