#ifndef GROUPNORM_TESTS_UNIT_CLIENT_VERIFY_FAKE_SERVICE_H_
#define GROUPNORM_TESTS_UNIT_CLIENT_VERIFY_FAKE_SERVICE_H_

#include <cstddef>
#include <functional>

#include "client/cli/verify/check.h"

namespace groupnorm::verify {

/// Spoils one output after it was computed. `data` has `size` bytes.
using Spoiler = std::function<void(Output output, DataType dtype,
                                   std::byte* data, std::size_t size)>;

/// A service that is right: it rounds what the reference computes to the
/// outputs' element types. Then `spoil` may make it wrong.
Service FakeService(const Spoiler& spoil = {});

}  // namespace groupnorm::verify

#endif  // GROUPNORM_TESTS_UNIT_CLIENT_VERIFY_FAKE_SERVICE_H_
