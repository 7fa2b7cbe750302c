#include "server/guarded.h"

#include <exception>
#include <new>

#include "absl/strings/str_cat.h"

namespace groupnorm {

const absl::Status& OutOfMemoryError() {
  // Copies share it, and so take no memory when there is none.
  static const absl::Status& error =
      *new absl::Status(absl::ResourceExhaustedError("server: out of memory"));
  return error;
}

absl::Status RunGuarded(absl::FunctionRef<absl::Status()> step) {
  OutOfMemoryError();  // Made while there is memory.
  try {
    try {
      return step();
    } catch (const std::bad_alloc&) {
      return OutOfMemoryError();
    } catch (const std::exception& error) {
      return absl::InternalError(absl::StrCat("server: ", error.what()));
    }
  } catch (const std::bad_alloc&) {
    return OutOfMemoryError();  // There was none for the text.
  }
}

}  // namespace groupnorm
