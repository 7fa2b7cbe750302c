#include "client/cli/files/leftover.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <utility>

namespace groupnorm::cli {

namespace {

// A command has three results, and a socket in a folder.
constexpr int kMaxLeftovers = 8;
constexpr std::size_t kMaxPath = 4096;  // Linux's PATH_MAX.

// Static memory, since a signal may come at any time.
struct Slot {
  std::atomic<bool> taken = false;
  std::array<char, kMaxPath> path{};
};
std::array<Slot, kMaxLeftovers> slots;

extern "C" void RemoveLeftovers(int signal) {
  for (int slot = kMaxLeftovers - 1; slot >= 0; --slot) {
    if (!slots[slot].taken) continue;
    const char* const path = slots[slot].path.data();
    if (unlink(path) != 0) rmdir(path);
  }
  // Ends the process once this function has returned (SA_RESETHAND).
  raise(signal);
}

}  // namespace

Leftover::Leftover(const std::string& path) : slot_(-1) {
  if (path.size() >= kMaxPath) return;
  for (int slot = 0; slot < kMaxLeftovers; ++slot) {
    if (slots[slot].taken) continue;
    std::memcpy(slots[slot].path.data(), path.c_str(), path.size() + 1);
    slots[slot].taken = true;
    slot_ = slot;
    return;
  }
}

Leftover::Leftover(Leftover&& other) noexcept
    : slot_(std::exchange(other.slot_, -1)) {}

Leftover::~Leftover() {
  if (slot_ >= 0) slots[slot_].taken = false;
}

void RemoveLeftoversOnSignals() {
  struct sigaction action = {};
  action.sa_handler = RemoveLeftovers;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

}  // namespace groupnorm::cli
