#ifndef GROUPNORM_TESTS_TESTING_SERVER_PROCESS_H_
#define GROUPNORM_TESTS_TESTING_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace groupnorm {

/// The real groupnorm-server as a process of its own.
class ServerProcess {
 public:
  /// Starts it and waits for its ready line, or for its end. Environment
  /// variables are `NAME=value`. `max_descriptors` is its limit on open files,
  /// this process's own where there is none.
  explicit ServerProcess(const std::vector<std::string>& flags,
                         const std::vector<std::string>& environment = {},
                         std::optional<int> max_descriptors = std::nullopt);

  /// Kills it where it still runs.
  ~ServerProcess();

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// The first line on its standard output, without the newline; empty where it
  /// ended without one.
  const std::string& ready_line() const { return ready_line_; }

  /// The addresses in the ready line.
  std::vector<std::string> addresses() const;

  /// How often `text` stands in what it has written to standard error.
  int CountErrors(const std::string& text) const;

  /// Waits until that is `count` or more.
  void AwaitErrors(const std::string& text, int count) const;

  void Signal(int signal) const;

  /// Stops it as it is; returns once none of its threads runs any more.
  void Freeze() const;
  void Thaw() const;

  /// Waits for its end. The exit status; 256 + the signal that killed it.
  int Wait();

  /// After Wait(): everything it wrote to standard output after the first line,
  /// and to standard error.
  const std::string& output() const { return output_; }
  const std::string& errors() const { return errors_; }

  /// Descriptors that it has open, and how many it may have from now on.
  int CountDescriptors() const;
  void LimitDescriptors(int limit) const;

  /// Memory that is resident now, in bytes.
  std::int64_t ResidentBytes() const;

  /// Most memory that has been resident since ResetPeak(), in bytes.
  std::int64_t PeakResidentBytes() const;
  void ResetPeak() const;

 private:
  pid_t pid_ = -1;
  int output_fd_ = -1;
  std::string errors_path_;
  std::string ready_line_;
  std::string output_;
  std::string errors_;
};

/// A path for a socket or a file that no other test uses.
std::string UniquePath(const std::string& suffix);

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_SERVER_PROCESS_H_
