#include "server/accept_failure.h"

#include <cerrno>

namespace groupnorm {

AcceptFailure AcceptFailureOf(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
      return AcceptFailure::kOutOfDescriptors;
    // Linux passes errors of the new connection on, as if they were the call's.
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPERM:  // A firewall's verdict on one connection.
    case EPROTO:
    case ETIMEDOUT:
      return AcceptFailure::kOfOneConnection;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return AcceptFailure::kForNow;
    default:
      return AcceptFailure::kFinal;
  }
}

}  // namespace groupnorm
