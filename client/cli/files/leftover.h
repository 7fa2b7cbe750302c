#ifndef GROUPNORM_CLIENT_CLI_FILES_LEFTOVER_H_
#define GROUPNORM_CLIENT_CLI_FILES_LEFTOVER_H_

#include <string>

namespace groupnorm::cli {

/// A file or an empty folder that this process removes at its end, and would
/// leave behind where a signal ends it. While the object lives, the signals of
/// RemoveLeftoversOnSignals remove the path, later ones first. Its destructor
/// removes nothing: whoever made the path does. Move-only; not thread-safe.
class Leftover {
 public:
  /// A process has room for a few; what goes beyond is left behind.
  explicit Leftover(const std::string& path);
  ~Leftover();

  Leftover(Leftover&& other) noexcept;
  Leftover& operator=(Leftover&&) = delete;

 private:
  int slot_;  // -1: none.
};

/// From now on SIGINT, SIGTERM and SIGHUP remove what is left over and then end
/// the process as they do by default. One that is ignored stays ignored. For
/// main() to call.
void RemoveLeftoversOnSignals();

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_LEFTOVER_H_
