#include "client/address.h"

#include <sys/un.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace groupnorm {

namespace {

constexpr char kUnixPrefix[] = "unix:";
constexpr std::size_t kUnixPrefixLength = sizeof(kUnixPrefix) - 1;
// The terminating zero is part of sun_path.
constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

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
  // What would make a URI of it, or a list, is not part of a host.
  return !host.empty() &&
         host.find_first_of(":/[], \t\r\n") == std::string::npos;
}

}  // namespace

absl::Status ValidateAddress(const std::string& address) {
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

bool IsLoopback(const std::string& address) {
  if (absl::StartsWith(address, kUnixPrefix)) return true;
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" ||
         (absl::StartsWith(host, "127.") &&
          host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string TargetOf(const std::string& address) {
  // A scheme begins with a letter.
  if (absl::StartsWith(address, kUnixPrefix) ||
      absl::StartsWith(address, "[")) {
    return address;
  }
  return absl::StrCat("dns:///", address);
}

}  // namespace groupnorm
