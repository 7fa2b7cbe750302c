#ifndef GROUPNORM_SERVER_CONNECTION_ID_H_
#define GROUPNORM_SERVER_CONNECTION_ID_H_

namespace groupnorm {

/// Tells connections apart, so that they can be given turns. Names one for as
/// long as a call of it lives, and may name another one afterwards; points to
/// nothing that may be read.
using ConnectionId = const void*;

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CONNECTION_ID_H_
