#include "tests/load/load.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {

int Size(int full, int brief) {
  const char* size = std::getenv("GROUPNORM_LOAD");
  return size != nullptr && std::string_view(size) == "full" ? full : brief;
}

bool TimesAreMeasurable() { return Size(1, 0) == 1 && !kSanitized; }

std::vector<std::string> FlagsOf(const ServerOptions& options) {
  return {"--listen=127.0.0.1:0",
          absl::StrFormat("--workers=%d", options.workers),
          absl::StrFormat("--max-message-bytes=%d", options.max_message_bytes),
          absl::StrFormat("--max-queued-calls=%d", options.max_queued_calls),
          absl::StrFormat("--max-queued-bytes=%d", options.max_queued_bytes),
          absl::StrFormat("--max-reading-calls=%d", options.max_reading_calls)};
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

void Print(const std::string& text) {
  const ::testing::TestInfo& test =
      *::testing::UnitTest::GetInstance()->current_test_info();
  std::printf("load: %s.%s: %s\n", test.test_suite_name(), test.name(),
              text.c_str());
  std::fflush(stdout);
}

double Mebibytes(std::int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

Threads::Threads(int count, const std::function<void(int)>& body) {
  for (int i = 0; i < count; ++i) threads_.emplace_back(body, i);
}

void Threads::Join() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

GoodCalls::GoodCalls(const std::string& address,
                     const v1::ForwardRequest& request)
    : channel_(Connect(address)), request_(request), first_(Call()) {
  thread_ = std::thread([this] { Run(); });
}

std::string GoodCalls::Call() {
  v1::ForwardResponse response;
  EXPECT_THAT(CallForward(channel_, request_, &response), Succeeds());
  return response.SerializeAsString();
}

void GoodCalls::Run() {
  for (;;) {
    EXPECT_TRUE(Call() == first_) << "other bits than the first call's";
    const absl::MutexLock lock(&mutex_);
    ++count_;
    if (stop_) return;
  }
}

int GoodCalls::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
  const absl::MutexLock lock(&mutex_);
  return count_;
}

void GoodCalls::Await(int more) {
  absl::MutexLock lock(&mutex_);
  const int enough = count_ + more;
  const auto reached = [this, enough]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return count_ >= enough;
  };
  mutex_.Await(absl::Condition(&reached));
}

v1::ForwardRequest RequestOfBytes(std::int64_t bytes) {
  constexpr std::int64_t kChannels = 32;
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(kChannels);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat32, {1, kChannels, bytes / 4 / kChannels},
                   static_cast<std::uint64_t>(bytes));
  return request;
}

}  // namespace groupnorm::load
