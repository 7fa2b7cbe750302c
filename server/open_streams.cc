#include "server/open_streams.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/admission.h"

namespace groupnorm {

OpenStreams::OpenStreams(std::string kind, int max_open, WhenFull when_full)
    : kind_(std::move(kind)),
      max_open_(max_open),
      max_open_of_connection_(std::max(1, max_open / 2)),
      when_full_(when_full) {}

absl::Status OpenStreams::Enter(const std::shared_ptr<OpenStream>& stream,
                                ConnectionId connection) {
  std::shared_ptr<OpenStream> displaced;  // Told without the lock.
  absl::Status full;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == ServerPhase::kClosing) return DrainingError();
    if (streams_.size() >= static_cast<std::size_t>(max_open_)) {
      full = absl::ResourceExhaustedError(absl::StrCat(
          "server: ", max_open_, " ", kind_, " are open, the limit"));
      if (when_full_ == WhenFull::kRefuse) return full;
    }
    int& own = open_of_connection_[connection];
    if (own >= max_open_of_connection_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("server: ", own, " ", kind_,
                       " of this connection are open, the limit"));
    }
    streams_.emplace(stream.get(), Entry{stream, connection, entered_});
    ++entered_;
    ++own;
    if (!full.ok()) displaced = RemoveOldest();
  }
  if (displaced != nullptr) displaced->OnDisplaced(full);
  return absl::OkStatus();
}

void OpenStreams::Leave(const OpenStream* stream) {
  absl::MutexLock lock(&mutex_);
  const auto entry = streams_.find(stream);
  if (entry != streams_.end()) Remove(entry);
}

std::shared_ptr<OpenStream> OpenStreams::RemoveOldest() {
  const auto oldest = std::min_element(
      streams_.begin(), streams_.end(), [](const auto& a, const auto& b) {
        return a.second.number < b.second.number;
      });
  std::shared_ptr<OpenStream> stream = oldest->second.stream.lock();
  Remove(oldest);
  return stream;
}

void OpenStreams::Remove(std::map<const OpenStream*, Entry>::iterator entry) {
  const auto own = open_of_connection_.find(entry->second.connection);
  if (--own->second == 0) open_of_connection_.erase(own);
  streams_.erase(entry);
}

void OpenStreams::SetPhase(ServerPhase phase) {
  {
    absl::MutexLock lock(&mutex_);
    phase_ = phase;
  }
  const OpenStream* told = nullptr;
  while (true) {
    std::shared_ptr<OpenStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      // Those that enter meanwhile look at the phase themselves.
      const auto next =
          told == nullptr ? streams_.begin() : streams_.upper_bound(told);
      if (next == streams_.end()) return;
      told = next->first;
      stream = next->second.stream.lock();
    }
    if (stream != nullptr) stream->OnPhase();
  }
}

}  // namespace groupnorm
