#ifndef GROUPNORM_SERVER_FLAG_WITHOUT_VALUE_H_
#define GROUPNORM_SERVER_FLAG_WITHOUT_VALUE_H_

#include <string>

namespace groupnorm {

/// The first flag of a command line that stands there as `--name=`; empty where
/// none does. It comes of a variable of a shell that is not set. CLI11 would
/// take the next word for its value.
std::string FlagWithoutValue(int argc, const char* const* argv);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_FLAG_WITHOUT_VALUE_H_
