#ifndef GROUPNORM_SERVER_HELP_TEXT_H_
#define GROUPNORM_SERVER_HELP_TEXT_H_

#include <string>

namespace groupnorm {

/// Breaks a text into lines that fit beside the flags of --help.
std::string WrapHelp(const std::string& text);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_HELP_TEXT_H_
