#ifndef GROUPNORM_TESTS_LOAD_SENT_BYTES_H_
#define GROUPNORM_TESTS_LOAD_SENT_BYTES_H_

#include <cstdint>
#include <string>

namespace groupnorm::load {

/// The bytes that this process has sent over all TCP connections that it now
/// has open to `address` (`host:port`), as the kernel counts them. What the
/// peer has not made room for is not among them.
std::int64_t SentBytes(const std::string& address);

}  // namespace groupnorm::load

#endif  // GROUPNORM_TESTS_LOAD_SENT_BYTES_H_
