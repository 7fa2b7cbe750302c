#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "groupnorm/client.h"
#include "tests/unit/client/example_calls.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/lost_servers.h"

/// A Client in front of several servers.
namespace groupnorm {
namespace {

using ::testing::StartsWith;

FakeServer::Methods Counting(std::atomic<int>& calls) {
  return {.forward = [&calls](const std::string&) {
    ++calls;
    return RightForwardResponse().SerializeAsString();
  }};
}

void ExpectAnswers(Client& client, int calls) {
  for (int i = 0; i < calls; ++i) {
    ForwardMemory memory;
    ASSERT_EQ(client.Forward(ForwardExample(), memory.results()),
              absl::OkStatus());
  }
}

// Calls until each of the servers has taken one: gRPC connects to them side by
// side, and the first calls go to the first that is there.
template <std::size_t n>
void CallUntilAllAnswer(Client& client,
                        std::array<std::atomic<int>, n>& calls) {
  for (std::atomic<int>& one : calls) {
    while (one == 0) ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 1));
  }
}

TEST(ClientServers, TakeTurns) {
  std::array<std::atomic<int>, 3> calls = {};
  FakeServer a(Counting(calls[0])), b(Counting(calls[1])),
      c(Counting(calls[2]));
  const std::unique_ptr<Client> client =
      Connect(absl::StrCat(a.address(), ",", b.address(), ",", c.address()));
  CallUntilAllAnswer(*client, calls);
  for (std::atomic<int>& one : calls) one = 0;
  ExpectAnswers(*client, 30);
  EXPECT_EQ(calls[0], 10);
  EXPECT_EQ(calls[1], 10);
  EXPECT_EQ(calls[2], 10);
}

TEST(ClientServers, MayBeUnixSockets) {
  const TemporaryDirectory directory;
  std::array<std::atomic<int>, 2> calls = {};
  FakeServer a(Counting(calls[0]), directory.unix_address("a"));
  FakeServer b(Counting(calls[1]), directory.unix_address("b"));
  CallUntilAllAnswer(*Connect(absl::StrCat(a.address(), ",", b.address())),
                     calls);
}

TEST(ClientServers, MayHaveIpv6Addresses) {
  std::array<std::atomic<int>, 2> calls = {};
  FakeServer a(Counting(calls[0]), "[::1]:0"), b(Counting(calls[1]), "[::1]:0");
  if (a.port() == 0) GTEST_SKIP() << "no IPv6 loopback here";
  CallUntilAllAnswer(
      *Connect(absl::StrCat("[::1]:", a.port(), ",[::1]:", b.port())), calls);
}

TEST(ClientServers, MayBeNamedAsGrpcDoes) {
  std::atomic<int> calls = 0;
  FakeServer server(Counting(calls));
  ExpectAnswers(*Connect("dns:///" + server.address()), 1);
  ExpectAnswers(*Connect(absl::StrCat("localhost:", server.port())), 1);
  EXPECT_EQ(calls, 2);
}

// The families of addresses that this machine's name for itself has.
std::set<int> FamiliesOfLocalhost() {
  std::set<int> families;
  addrinfo* addresses = nullptr;
  if (::getaddrinfo("localhost", nullptr, nullptr, &addresses) != 0) return {};
  for (const addrinfo* at = addresses; at != nullptr; at = at->ai_next) {
    families.insert(at->ai_family);
  }
  ::freeaddrinfo(addresses);
  return families;
}

TEST(ClientServers, AreAllThatANameStandsFor) {
  if (FamiliesOfLocalhost().size() < 2) {
    GTEST_SKIP() << "localhost has not two addresses here";
  }
  std::array<std::atomic<int>, 2> calls = {};
  FakeServer a(Counting(calls[0]));
  FakeServer b(Counting(calls[1]), absl::StrCat("[::1]:", a.port()));
  if (b.port() == 0) GTEST_SKIP() << "no IPv6 loopback, or its port is taken";
  CallUntilAllAnswer(*Connect(absl::StrCat("dns:///localhost:", a.port())),
                     calls);
}

TEST(ClientServers, StandInForThoseThatAreNotThere) {
  const ReservedPort nobody;
  std::atomic<int> calls = 0;
  FakeServer server(Counting(calls));
  const std::unique_ptr<Client> client =
      Connect(absl::StrCat(nobody.address(), ",", server.address()));
  ExpectAnswers(*client, 20);
  EXPECT_EQ(calls, 20);
}

TEST(ClientServers, StandInForThoseThatDoNotAnswerAtAll) {
  ReservedPort silent;
  silent.Listen();
  std::atomic<int> calls = 0;
  FakeServer server(Counting(calls));
  const std::unique_ptr<Client> client =
      Connect(absl::StrCat(silent.address(), ",", server.address()));
  ExpectAnswers(*client, 20);
  EXPECT_EQ(calls, 20);
}

TEST(ClientServers, GetTheNextAttemptOfACallThatOneRefused) {
  std::atomic<int> refused = 0;
  std::atomic<int> answered = 0;
  FakeServer draining(
      {.forward = [&](const std::string&) -> absl::StatusOr<std::string> {
        ++refused;
        return absl::UnavailableError("server: draining");
      }});
  FakeServer server(Counting(answered));
  const std::unique_ptr<Client> client =
      Connect(absl::StrCat(draining.address(), ",", server.address()));
  int calls = 0;
  while (refused < 5) {
    ASSERT_NO_FATAL_FAILURE(ExpectAnswers(*client, 1));
    ++calls;
  }
  EXPECT_EQ(answered, calls);
}

TEST(ClientServers, AreAllNamedInAnError) {
  const ReservedPort a, b;
  const std::string address = absl::StrCat(a.address(), ",", b.address());
  const absl::Status status =
      ConnectOnce(address)->Forward(ForwardExample(), {});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              StartsWith(absl::StrCat("no answer from ", address, ": ")));
}

}  // namespace
}  // namespace groupnorm
