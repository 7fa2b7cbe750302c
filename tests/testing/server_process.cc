#include "tests/testing/server_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace groupnorm {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// This process's environment without the server's own variables.
std::vector<std::string> CleanEnvironment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!text.starts_with("GROUPNORM_")) variables.push_back(text);
  }
  return variables;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Reads to the end of a line or of the file.
std::string ReadLine(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string ReadToEnd(int fd) {
  std::string text;
  for (char c = 0; ::read(fd, &c, 1) == 1;) text += c;
  return text;
}

// A figure of /proc/<pid>/status, in bytes.
std::int64_t MemoryStatus(pid_t pid, const std::string& name) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string word; status >> word;) {
    std::int64_t kibibytes = 0;
    if (word == name && status >> kibibytes) return kibibytes * 1024;
  }
  ADD_FAILURE() << "no " << name << " of process " << pid;
  return 0;
}

}  // namespace

std::string UniquePath(const std::string& suffix) {
  static std::atomic<int> count = 0;
  return absl::StrCat(::testing::TempDir(), "groupnorm_", ::getpid(), "_",
                      count.fetch_add(1), suffix);
}

ServerProcess::ServerProcess(const std::vector<std::string>& flags,
                             const std::vector<std::string>& environment,
                             std::optional<int> max_descriptors)
    : errors_path_(UniquePath(".stderr")) {
  std::vector<std::string> arguments;
  if (max_descriptors.has_value()) {
    arguments = {"/bin/sh", "-c", "ulimit -n \"$0\"; exec \"$@\"",
                 absl::StrCat(*max_descriptors)};
  }
  arguments.emplace_back(GROUPNORM_SERVER_PROGRAM);
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<std::string> variables = CleanEnvironment();
  variables.insert(variables.end(), environment.begin(), environment.end());

  int output[2] = {-1, -1};
  EXPECT_EQ(::pipe2(output, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
                                   errors_path_.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const std::string program = arguments.front();
  EXPECT_EQ(
      ::posix_spawn(&pid_, program.c_str(), &actions, nullptr,
                    Pointers(arguments).data(), Pointers(variables).data()),
      0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(output[1]);
  output_fd_ = output[0];
  ready_line_ = ReadLine(output_fd_);
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  ::close(output_fd_);
  ::unlink(errors_path_.c_str());
}

std::vector<std::string> ServerProcess::addresses() const {
  const std::string prefix = "groupnorm-server listening on ";
  if (!ready_line_.starts_with(prefix)) {
    ADD_FAILURE() << "no ready line: '" << ready_line_ << "' "
                  << ReadFile(errors_path_);
    return {""};
  }
  return absl::StrSplit(ready_line_.substr(prefix.size()), ' ');
}

int ServerProcess::CountErrors(const std::string& text) const {
  const std::string errors = ReadFile(errors_path_);
  int count = 0;
  for (std::size_t at = errors.find(text); at != std::string::npos;
       at = errors.find(text, at + 1)) {
    ++count;
  }
  return count;
}

void ServerProcess::AwaitErrors(const std::string& text, int count) const {
  while (CountErrors(text) < count) std::this_thread::yield();
}

void ServerProcess::Signal(int signal) const {
  // -1 would be every process of this user.
  ASSERT_GT(pid_, 0) << "the server does not run";
  ::kill(pid_, signal);
}

void ServerProcess::Freeze() const {
  Signal(SIGSTOP);
  if (pid_ <= 0) return;
  siginfo_t stopped = {};
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED), 0);
}

void ServerProcess::Thaw() const { Signal(SIGCONT); }

int ServerProcess::Wait() {
  output_ = ReadToEnd(output_fd_);
  int status = 0;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  errors_ = ReadFile(errors_path_);
  return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

int ServerProcess::CountDescriptors() const {
  const std::filesystem::directory_iterator descriptors(
      absl::StrCat("/proc/", pid_, "/fd"));
  return static_cast<int>(std::distance(begin(descriptors), end(descriptors)));
}

void ServerProcess::LimitDescriptors(int limit) const {
  rlimit limits = {};
  EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, nullptr, &limits), 0);
  limits.rlim_cur = static_cast<rlim_t>(limit);
  EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, &limits, nullptr), 0);
}

std::int64_t ServerProcess::ResidentBytes() const {
  return MemoryStatus(pid_, "VmRSS:");
}

std::int64_t ServerProcess::PeakResidentBytes() const {
  return MemoryStatus(pid_, "VmHWM:");
}

void ServerProcess::ResetPeak() const {
  std::ofstream(absl::StrCat("/proc/", pid_, "/clear_refs")) << "5";
}

}  // namespace groupnorm
