// The codec's first stage against protobuf's own parser: the same verdict and
// the same values, however the message is sliced.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/wire/parser_oracle.h"

namespace groupnorm::fuzz {
namespace {

template <typename Type>
void Compare(const FuzzInput& input) {
  const Oracle<Type> oracle(input.message);
  Require(StreamAgrees(oracle, input.message, 1 + input.order),
          "protobuf's two parsers agree");
  RequireNone(CompareWith(oracle, input.whole()), "protobuf agrees");
  RequireNone(CompareWith(oracle, input.sliced()), "protobuf agrees on slices");
}

}  // namespace
}  // namespace groupnorm::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace groupnorm;        // NOLINT(google-build-using-namespace)
  using namespace groupnorm::fuzz;  // NOLINT(google-build-using-namespace)
  const FuzzInput input(data, size);
  switch (input.type % 4) {
    case 0:
      Compare<ForwardRequestType>(input);
      break;
    case 1:
      Compare<BackwardRequestType>(input);
      break;
    case 2:
      Compare<ForwardResponseType>(input);
      break;
    default:
      Compare<BackwardResponseType>(input);
  }
  return 0;
}
