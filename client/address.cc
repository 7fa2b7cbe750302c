#include "client/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace groupnorm {

namespace {

constexpr char kUnixPrefix[] = "unix:";
constexpr std::size_t kUnixPrefixLength = sizeof(kUnixPrefix) - 1;
// The terminating zero is part of sun_path.
constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;
// How gRPC's users write a name; ours is one without.
constexpr char kDnsPrefix[] = "dns:///";

/// What an address is made of: gRPC resolves lists of one of the last three.
enum class Kind { kName, kIpv4, kIpv6, kUnix };

absl::Status ValidateUnixPath(const std::string& address) {
  const std::size_t length = address.size() - kUnixPrefixLength;
  if (length == 0 || length > kMaxUnixPath) {
    return absl::InvalidArgumentError(
        absl::StrCat("address \"", address, "\": a path of ", length,
                     " bytes, expected 1 to ", kMaxUnixPath));
  }
  return absl::OkStatus();
}

absl::Status Malformed(const std::string& address) {
  return absl::InvalidArgumentError(
      absl::StrCat("address \"", address,
                   "\", expected host:port, [IPv6 address]:port or unix:path"));
}

bool IsHost(const std::string& host) {
  if (absl::StartsWith(host, "[")) {
    return host.size() > 2 && host.back() == ']' &&
           host.find_first_not_of("0123456789abcdefABCDEF:.%", 1) ==
               host.size() - 1;
  }
  // What would make a URI of it is not part of a host.
  return !host.empty() &&
         host.find_first_of(":/[] \t\r\n") == std::string::npos;
}

absl::Status ValidateOne(const std::string& address) {
  if (absl::StartsWith(address, kUnixPrefix)) return ValidateUnixPath(address);
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || !IsHost(address.substr(0, colon))) {
    return Malformed(address);
  }
  const std::string port = address.substr(colon + 1);
  int number = 0;
  if (port.empty() ||
      port.find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address \"", address, "\": port \"", port, "\", expected 1 to 65535"));
  }
  return absl::OkStatus();
}

// What follows takes addresses that ValidateOne accepts.

std::string HostOf(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

Kind KindOf(const std::string& address) {
  if (absl::StartsWith(address, kUnixPrefix)) return Kind::kUnix;
  if (absl::StartsWith(address, "[")) return Kind::kIpv6;
  in_addr ignored{};
  return inet_pton(AF_INET, HostOf(address).c_str(), &ignored) == 1
             ? Kind::kIpv4
             : Kind::kName;
}

bool IsOneLoopback(const std::string& address) {
  if (KindOf(address) == Kind::kUnix) return true;
  const std::string host = HostOf(address);
  return host == "localhost" || host == "[::1]" ||
         (absl::StartsWith(host, "127.") &&
          host.find_first_not_of("0123456789.") == std::string::npos);
}

std::vector<std::string> Split(const std::string& address) {
  return absl::StrSplit(address, ',');
}

std::string WithoutScheme(const std::string& address) {
  return std::string(absl::StripPrefix(address, kDnsPrefix));
}

/// A UNIX socket's path in the URI that gRPC takes it from.
std::string EscapedPath(const std::string& path) {
  return absl::StrReplaceAll(path, {{"%", "%25"}, {"?", "%3F"}, {"#", "%23"}});
}

/// The target of several addresses, in the form of gRPC's resolver for `kind`.
std::string ListTarget(Kind kind, std::vector<std::string> addresses) {
  switch (kind) {
    case Kind::kUnix:
      for (std::string& one : addresses) {
        one = EscapedPath(one.substr(kUnixPrefixLength));
      }
      return absl::StrCat(kUnixPrefix, absl::StrJoin(addresses, ","));
    case Kind::kIpv6:
      // Brackets have no place in the path of a URI, nor has the sign before a
      // zone.
      return absl::StrCat(
          "ipv6:",
          absl::StrReplaceAll(absl::StrJoin(addresses, ","),
                              {{"%", "%25"}, {"[", "%5B"}, {"]", "%5D"}}));
    default:
      return absl::StrCat("ipv4:", absl::StrJoin(addresses, ","));
  }
}

}  // namespace

absl::Status ValidateAddress(const std::string& address) {
  if (!IsList(address)) return ValidateOne(WithoutScheme(address));
  const std::vector<std::string> addresses = Split(address);
  for (const std::string& one : addresses) {
    if (absl::Status status = ValidateOne(one); !status.ok()) return status;
  }
  const Kind kind = KindOf(addresses.front());
  if (kind == Kind::kName ||
      !std::ranges::all_of(addresses, [kind](const std::string& one) {
        return KindOf(one) == kind;
      })) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address \"", address,
        "\", expected a list of IPv4 addresses, of [IPv6 addresses] or of "
        "unix:paths; a name stands alone, for all servers it resolves to"));
  }
  return absl::OkStatus();
}

bool IsList(const std::string& address) {
  return absl::StrContains(address, ',');
}

bool IsLoopback(const std::string& address) {
  return std::ranges::all_of(Split(WithoutScheme(address)), IsOneLoopback);
}

std::string TargetOf(const std::string& address) {
  const std::vector<std::string> addresses = Split(WithoutScheme(address));
  const Kind kind = KindOf(addresses.front());
  if (addresses.size() > 1) return ListTarget(kind, addresses);
  if (kind == Kind::kUnix) return ListTarget(kind, addresses);
  if (kind == Kind::kIpv6) return addresses.front();
  return absl::StrCat(kDnsPrefix, addresses.front());
}

}  // namespace groupnorm
