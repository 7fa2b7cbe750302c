#ifndef GROUPNORM_CLIENT_CLI_FILES_LEFTOVER_H_
#define GROUPNORM_CLIENT_CLI_FILES_LEFTOVER_H_

#include <list>
#include <optional>
#include <string>

namespace groupnorm::cli {

/// A file or an empty folder that this process removes at its end, and would
/// leave behind where a signal ends it. While the object lives, the signals of
/// RemoveLeftoversOnSignals remove the path, later ones first. Its destructor
/// removes nothing: whoever made the path does. Move-only; different objects
/// may be used by different threads.
class Leftover {
 public:
  explicit Leftover(const std::string& path);
  ~Leftover();

  Leftover(Leftover&& other) noexcept;
  Leftover& operator=(Leftover&&) = delete;

 private:
  std::optional<std::list<std::string>::iterator> entry_;  // None: moved from.
};

/// From now on SIGINT, SIGTERM and SIGHUP remove what is left over and then end
/// the process as they do by default. One that is ignored stays ignored. For
/// main() to call before it starts a thread: in those that it starts from then
/// on the signals are blocked.
void RemoveLeftoversOnSignals();

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FILES_LEFTOVER_H_
