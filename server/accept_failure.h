#ifndef GROUPNORM_SERVER_ACCEPT_FAILURE_H_
#define GROUPNORM_SERVER_ACCEPT_FAILURE_H_

namespace groupnorm {

/// What follows from an accept() that failed.
enum class AcceptFailure {
  kOutOfDescriptors,  ///< Connections wait that there is no descriptor for.
  kOfOneConnection,   ///< It was over before it was taken; others may wait.
  kForNow,            ///< Nothing waits, or the machine is short of memory.
  kFinal,             ///< The listener is closed or is none.
};

/// For `error`, an errno that accept(2) names; kFinal for any other.
AcceptFailure AcceptFailureOf(int error);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ACCEPT_FAILURE_H_
