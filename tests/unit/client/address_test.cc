#include "client/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "groupnorm/client.h"

namespace groupnorm {
namespace {

using ::testing::HasSubstr;

TEST(Address, IsHostAndPortOrUnixPath) {
  for (const std::string address :
       {"127.0.0.1:50051", "localhost:1", "example.org:65535", "[::1]:50051",
        "[fe80::1%3]:50051", "unix:/run/groupnorm.sock", "unix:relative",
        "dns:///example.org:1", "dns:1"}) {
    EXPECT_EQ(ValidateAddress(address), absl::OkStatus()) << address;
  }
  EXPECT_EQ(ValidateAddress("unix:" + std::string(107, 'x')), absl::OkStatus());
}

TEST(Address, RefusesWhatIsNeither) {
  struct Case {
    std::string address, message;
  };
  const std::string form =
      ", expected host:port, [IPv6 address]:port or unix:path";
  const std::vector<Case> cases = {
      {"", "address \"\"" + form},
      {"localhost", "address \"localhost\"" + form},
      {":50051", "address \":50051\"" + form},
      {"::1:50051", "address \"::1:50051\"" + form},
      {"[]:50051", "address \"[]:50051\"" + form},
      {"[::1:50051", "address \"[::1:50051\"" + form},
      {"[::x]:50051", "address \"[::x]:50051\"" + form},
      {"http://host:80", "address \"http://host:80\"" + form},
      {"dns://server/a:1", "address \"dns://server/a:1\"" + form},
      {"a:1,b", "address \"b\"" + form},
      {"1.2.3.4:1,", "address \"\"" + form},
      {"two words:1", "address \"two words:1\"" + form},
      {"host:", "address \"host:\": port \"\", expected 1 to 65535"},
      {"host:0", "address \"host:0\": port \"0\", expected 1 to 65535"},
      {"host:65536",
       "address \"host:65536\": port \"65536\", expected 1 to 65535"},
      {"host:+1", "address \"host:+1\": port \"+1\", expected 1 to 65535"},
      {"host:http",
       "address \"host:http\": port \"http\", expected 1 to 65535"},
      {"unix:", "address \"unix:\": a path of 0 bytes, expected 1 to 107"}};
  for (const Case& one : cases) {
    const absl::Status expected = absl::InvalidArgumentError(one.message);
    EXPECT_EQ(ValidateAddress(one.address), expected);
    EXPECT_EQ(Client::Create({.address = one.address}).status(), expected);
  }
  const absl::Status status = ValidateAddress("unix:" + std::string(108, 'x'));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("a path of 108 bytes, expected 1 to 107"));
}

TEST(Address, IsAListOfOneKind) {
  for (const std::string address :
       {"10.0.0.1:1,10.0.0.2:1", "10.0.0.1:1,10.0.0.1:2,127.0.0.1:3",
        "[::1]:1,[fe80::1%3]:2", "unix:/a,unix:/b"}) {
    EXPECT_EQ(ValidateAddress(address), absl::OkStatus()) << address;
    EXPECT_TRUE(IsList(address));
  }
  for (const std::string address :
       {"a:1,b:2", "10.0.0.1:1,b:2", "10.0.0.1:1,[::1]:2", "10.0.0.1:1,unix:/b",
        "10.0.0.999:1,10.0.0.1:1"}) {
    const absl::Status expected = absl::InvalidArgumentError(
        "address \"" + address +
        "\", expected a list of IPv4 addresses, of [IPv6 addresses] or of "
        "unix:paths; a name stands alone, for all servers it resolves to");
    EXPECT_EQ(ValidateAddress(address), expected);
    EXPECT_EQ(Client::Create({.address = address}).status(), expected);
  }
  EXPECT_FALSE(IsList("10.0.0.1:1"));
}

TEST(Address, TellsWhichStayOnThisMachine) {
  for (const std::string address :
       {"127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1", "unix:/x",
        "dns:///localhost:1", "127.0.0.1:1,127.0.0.2:1", "unix:/x,unix:/y"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const std::string address :
       {"10.0.0.1:1", "example.org:1", "localhost.example.org:1",
        "127.example.org:1", "[::2]:1", "dns:///example.org:1",
        "127.0.0.1:1,10.0.0.1:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(Address, IsNoUriWhateverTheHostIsCalled) {
  EXPECT_EQ(TargetOf("dns:50051"), "dns:///dns:50051");
  EXPECT_EQ(TargetOf("127.0.0.1:1"), "dns:///127.0.0.1:1");
  for (const std::string address : {"unix:/run/groupnorm.sock", "[::1]:1"}) {
    EXPECT_EQ(TargetOf(address), address);
  }
  EXPECT_EQ(TargetOf("dns:///a:1"), "dns:///a:1");
  EXPECT_EQ(TargetOf("unix:/a%20b?c#d"), "unix:/a%2520b%3Fc%23d");
}

TEST(Address, IsATargetOfGrpcWhereItIsAList) {
  EXPECT_EQ(TargetOf("10.0.0.1:1,10.0.0.2:2"), "ipv4:10.0.0.1:1,10.0.0.2:2");
  EXPECT_EQ(TargetOf("[::1]:1,[fe80::1%3]:2"),
            "ipv6:%5B::1%5D:1,%5Bfe80::1%253%5D:2");
  EXPECT_EQ(TargetOf("unix:/a,unix:b"), "unix:/a,b");
  EXPECT_EQ(TargetOf("unix:/a#,unix:/b%"), "unix:/a%23,/b%25");
}

}  // namespace
}  // namespace groupnorm
