#include "server/guarded.h"

#include <exception>
#include <new>

#include "absl/strings/str_cat.h"

namespace groupnorm {

absl::Status RunGuarded(absl::FunctionRef<absl::Status()> step) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("server: out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("server: ", error.what()));
  }
}

}  // namespace groupnorm
