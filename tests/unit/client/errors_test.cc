#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "groupnorm/client.h"
#include "tests/unit/client/example_calls.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/lost_servers.h"

namespace groupnorm {
namespace {

using ::testing::StartsWith;

TEST(ClientErrors, KeepTheServersCodeAndText) {
  // ThreadSanitizer does not see the order that the connection brings.
  absl::Mutex mutex;
  absl::Status answer;
  FakeServer server(
      {.forward = [&](const std::string&) -> absl::StatusOr<std::string> {
        absl::MutexLock lock(&mutex);
        return answer;
      }});
  const std::unique_ptr<Client> client = ConnectOnce(server.address());
  for (int code = 1; code <= 16; ++code) {
    for (const std::string text : {"server: draining, as told",
                                   "deadline: passed before all was read"}) {
      const absl::Status expected(static_cast<absl::StatusCode>(code), text);
      {
        absl::MutexLock lock(&mutex);
        answer = expected;
      }
      ForwardMemory memory;
      EXPECT_EQ(client->Forward(ForwardExample(), memory.results()), expected);
    }
  }
  const absl::Status expected =
      absl::InvalidArgumentError("config.num_groups: 5, expected 3");
  {
    absl::MutexLock lock(&mutex);
    answer = expected;
  }
  ForwardMemory memory;
  EXPECT_EQ(client->Forward(ForwardExample(), memory.results()), expected);
}

TEST(ClientErrors, NameTheAddressWhereAnotherThanTheServerAnswers) {
  FakeServer proxy({.forward = [](const std::string&) {
    return absl::UnavailableError("no healthy upstream");
  }});
  ForwardMemory memory;
  EXPECT_EQ(
      ConnectOnce(proxy.address())->Forward(ForwardExample(), memory.results()),
      absl::UnavailableError(absl::StrCat("no answer from ", proxy.address(),
                                          ": no healthy upstream")));
}

TEST(ClientDeadline, NamesTheAddressAndTheTimeout) {
  absl::Notification done;
  FakeServer server({.forward = [&](const std::string&) {
    done.WaitForNotification();
    return RightForwardResponse().SerializeAsString();
  }});
  ForwardMemory memory;
  const std::unique_ptr<Client> client =
      Connect(server.address(), absl::Milliseconds(50));
  EXPECT_EQ(client->Forward(ForwardExample(), memory.results()),
            absl::DeadlineExceededError(absl::StrCat(
                "no answer from ", server.address(), " within 50ms")));
  // The call's own timeout goes before that of the options.
  EXPECT_EQ(client->Forward(ForwardExample(), memory.results(),
                            absl::Milliseconds(20)),
            absl::DeadlineExceededError(absl::StrCat(
                "no answer from ", server.address(), " within 20ms")));
  done.Notify();
}

TEST(ClientDeadline, HasToBePositiveAndFinite) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  const std::vector<std::pair<absl::Duration, std::string>> timeouts = {
      {absl::ZeroDuration(), "0"},
      {-absl::Seconds(1), "-1s"},
      {absl::InfiniteDuration(), "inf"}};
  for (const auto& [timeout, text] : timeouts) {
    const absl::Status expected = absl::InvalidArgumentError(absl::StrCat(
        "timeout: ", text, ", expected a positive and finite duration"));
    ForwardMemory memory;
    EXPECT_EQ(client->Forward(ForwardExample(), memory.results(), timeout),
              expected);
    BackwardMemory gradients;
    EXPECT_EQ(client->Backward(BackwardExample(), gradients.results(), timeout),
              expected);
    EXPECT_EQ(client->GetServerInfo(timeout).status(), expected);
    EXPECT_EQ(Client::Create({.timeout = timeout}).status(), expected);
  }
}

TEST(ClientUnreached, NamesThePortThatNobodyListensOn) {
  const ReservedPort port;
  const absl::Status status =
      ConnectOnce(port.address())->GetServerInfo().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      StartsWith(absl::StrCat("no answer from ", port.address(), ": ")));
}

TEST(ClientUnreached, NamesTheSocketThatDoesNotExist) {
  const TemporaryDirectory directory;
  const std::string address = directory.unix_address();
  const absl::Status status = ConnectOnce(address)->GetServerInfo().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              StartsWith(absl::StrCat("no answer from ", address, ": ")));
}

TEST(ClientUnreached, NamesTheServerThatBreaksOff) {
  absl::Notification entered, left;
  FakeServer server({.forward = [&](const std::string&) {
    entered.Notify();
    left.WaitForNotification();
    return RightForwardResponse().SerializeAsString();
  }});
  std::thread cutter([&] {
    entered.WaitForNotification();
    CutConnections(server.port());
  });
  ForwardMemory memory;
  const absl::Status status = ConnectOnce(server.address())
                                  ->Forward(ForwardExample(), memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      StartsWith(absl::StrCat("no answer from ", server.address(), ": ")));
  left.Notify();
  cutter.join();
}

}  // namespace
}  // namespace groupnorm
