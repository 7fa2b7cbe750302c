#include "server/open_streams.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/admission.h"

namespace groupnorm {

OpenStreams::OpenStreams(std::string kind, int max_open)
    : kind_(std::move(kind)), max_open_(static_cast<std::size_t>(max_open)) {}

absl::Status OpenStreams::Enter(const std::shared_ptr<OpenStream>& stream) {
  absl::MutexLock lock(&mutex_);
  if (phase_ == ServerPhase::kClosing) return DrainingError();
  if (streams_.size() >= max_open_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "server: ", max_open_, " ", kind_, " are open, the limit"));
  }
  streams_.emplace(stream.get(), stream);
  return absl::OkStatus();
}

void OpenStreams::Leave(const OpenStream* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void OpenStreams::SetPhase(ServerPhase phase) {
  std::vector<std::shared_ptr<OpenStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    phase_ = phase;
    streams.reserve(streams_.size());
    for (const auto& [_, stream] : streams_) {
      streams.push_back(stream.lock());
    }
  }
  for (const auto& stream : streams) {
    if (stream != nullptr) stream->OnPhase();
  }
}

}  // namespace groupnorm
