#ifndef GROUPNORM_CLIENT_CLI_FLAG_CHECKS_H_
#define GROUPNORM_CLIENT_CLI_FLAG_CHECKS_H_

#include <CLI/Option.hpp>
#include <string>
#include <vector>

/// Checks of what an option is given, where CLI11 itself lets too much pass.
namespace groupnorm::cli {

/// For CLI::Option::check(): what is wrong with `text`, or nothing. CLI11
/// itself turns a number beyond its type into another one.
std::string WholeNumberFault(const std::string& text);

/// The same: CLI11 itself takes an empty text for an option not given.
std::string NumberFault(const std::string& text);

/// Lets an option take only these words, which become its type in --help.
void OneOf(CLI::Option& option, const std::vector<std::string>& words);

/// The words that OneOf gave an option; none for any other.
std::vector<std::string> ChoicesOf(const CLI::Option& option);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FLAG_CHECKS_H_
