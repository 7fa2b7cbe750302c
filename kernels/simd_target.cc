#include "kernels/group_norm.h"

namespace groupnorm {

std::string_view SimdTarget() { return "portable"; }

}  // namespace groupnorm
