#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "groupnorm/client.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

// The peers whose calls the server's log says that it admitted.
std::set<std::string> PeersIn(const std::string& log) {
  const std::string before = "Forward from ";
  const std::string after = ": admitted";
  std::set<std::string> peers;
  for (std::size_t end = log.find(after); end != std::string::npos;
       end = log.find(after, end + 1)) {
    const std::size_t start = log.rfind(before, end) + before.size();
    peers.insert(log.substr(start, end - start));
  }
  return peers;
}

TEST(MaxConnectionAge, MovesCallsToNewConnectionsAndLosesNone) {
  ServerProcess server({"--listen=127.0.0.1:0", "--max-connection-age=100ms",
                        "--drain-delay=0s", "--log-level=debug"});
  RawCall parked(Connect(server.addresses().front()), "Forward");
  // gRPC may hand a call to a connection that is just told to go, and fails it
  // then without having sent it: the client sends it again.
  const auto client =
      Client::Create({.address = server.addresses().front()}).value();
  const std::vector<float> input(64, 3);
  const absl::Time end = absl::Now() + absl::Seconds(1);
  while (absl::Now() < end) {
    std::vector<float> output(64, 1);
    ASSERT_EQ(
        client->Forward({.input = {DataType::kFloat32, {2, 4, 8}, input.data()},
                         .num_groups = 2},
                        {.output = output.data()}),
        absl::OkStatus());
  }
  // Ten ages old, it is answered where it began.
  EXPECT_TRUE(parked.Send(SmallForwardRequest().SerializeAsString()));
  EXPECT_THAT(parked.Finish(), Succeeds());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_GE(PeersIn(server.errors()).size(), 2u);
}

}  // namespace
}  // namespace groupnorm
