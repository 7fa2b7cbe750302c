#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "groupnorm/client.h"
#include "tests/testing/server_process.h"

/// A server that is stopped breaks no connection and refuses none: only the
/// client's pings tell.
namespace groupnorm {
namespace {

using ::testing::Each;

std::unique_ptr<Client> ClientOf(const std::string& address,
                                 const RetryOptions& retry = {}) {
  auto client = Client::Create(
      {.address = address, .timeout = absl::Minutes(5), .retry = retry});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

// The input is constant, so all of the output is zero.
absl::Status Forward(Client& client) {
  const std::vector<float> input(64, 3);
  std::vector<float> output(64, 1);
  absl::Status status = client.Forward(
      {.input = {DataType::kFloat32, {2, 4, 8}, input.data()}, .num_groups = 2},
      {.output = output.data()});
  if (status.ok()) {
    EXPECT_THAT(output, Each(0));
  }
  return status;
}

TEST(FrozenServer, LosesItsCallsToTheOthers) {
  const std::string first = absl::StrCat("unix:", UniquePath(".first"));
  const std::string second = absl::StrCat("unix:", UniquePath(".second"));
  const std::unique_ptr<Client> client =
      ClientOf(absl::StrCat(first, ",", second));
  // The only one, so that the client is connected to it.
  const ServerProcess frozen({absl::StrCat("--listen=", first)});
  ASSERT_EQ(Forward(*client), absl::OkStatus());
  const ServerProcess other({absl::StrCat("--listen=", second)});
  frozen.Freeze();
  // A call that waits for the frozen one leaves it when no ping comes back;
  // from then on all go to the other.
  const std::int64_t before = client->retries();
  while (client->retries() == before) {
    ASSERT_EQ(Forward(*client), absl::OkStatus());
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Forward(*client), absl::OkStatus());
}

TEST(FrozenServer, IsNoticedWhileNothingComesAndForgivenWhenItRunsAgain) {
  const ServerProcess server({"--listen=127.0.0.1:0"});
  const std::unique_ptr<Client> client =
      ClientOf(server.addresses()[0], {.max_attempts = 1});
  EXPECT_EQ(Forward(*client), absl::OkStatus());
  server.Freeze();
  // As long as the connection seems well, a call waits for its answer in vain.
  absl::Status status = absl::DeadlineExceededError("");
  while (absl::IsDeadlineExceeded(status)) {
    status = client->GetServerInfo(absl::Milliseconds(50)).status();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  server.Thaw();
  EXPECT_EQ(Forward(*ClientOf(server.addresses()[0])), absl::OkStatus());
  while (absl::IsUnavailable(status)) status = Forward(*client);
  EXPECT_EQ(status, absl::OkStatus());
}

}  // namespace
}  // namespace groupnorm
