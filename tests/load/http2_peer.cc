#include "tests/load/http2_peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace groupnorm::load {

namespace {

constexpr std::size_t kFrameHeaderBytes = 9;

std::string BigEndian(std::uint32_t value, int bytes) {
  std::string encoded;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    encoded += static_cast<char>(value >> shift);
  }
  return encoded;
}

std::uint32_t FromBigEndian(const std::string& bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes) {
    value = value << 8 | static_cast<unsigned char>(byte);
  }
  return value;
}

// A length with a prefix of seven bits (RFC 7541, 5.1), then the text.
std::string HpackString(const std::string& text) {
  std::string encoded;
  std::size_t length = text.size();
  if (length < 127) {
    encoded += static_cast<char>(length);
  } else {
    encoded += '\x7f';
    for (length -= 127; length >= 128; length >>= 7) {
      encoded += static_cast<char>(0x80 | (length & 0x7f));
    }
    encoded += static_cast<char>(length);
  }
  return encoded + text;
}

constexpr char kUnixPrefix[] = "unix:";

template <typename Address>
int ConnectTo(const Address& to) {
  const int fd = ::socket(reinterpret_cast<const sockaddr&>(to).sa_family,
                          SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
            0)
      << std::strerror(errno);
  return fd;
}

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un socket_address = {};
  socket_address.sun_family = AF_UNIX;
  EXPECT_LT(path.size(), sizeof(socket_address.sun_path));
  path.copy(socket_address.sun_path, sizeof(socket_address.sun_path) - 1);
  return socket_address;
}

sockaddr_in LoopbackAddress(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  sockaddr_in socket_address = {};
  socket_address.sin_family = AF_INET;
  socket_address.sin_port = htons(static_cast<std::uint16_t>(port));
  socket_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return socket_address;
}

}  // namespace

Http2Peer::Http2Peer(const std::string& address)
    : fd_(address.starts_with(kUnixPrefix)
              ? ConnectTo(UnixAddress(address.substr(sizeof(kUnixPrefix) - 1)))
              : ConnectTo(LoopbackAddress(address))) {}

Http2Peer::~Http2Peer() {
  if (fd_ >= 0) ::close(fd_);
}

void Http2Peer::SendPreface() {
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  Send(Frame{FrameType::kSettings, 0, 0, ""});
}

void Http2Peer::SendPrefaceWithWindow(std::uint32_t window) {
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const std::string initial_window_size("\0\x04", 2);
  Send(Frame{FrameType::kSettings, 0, 0,
             initial_window_size + BigEndian(window, 4)});
  Send(Frame{FrameType::kWindowUpdate, 0, 0, BigEndian(window, 4)});
}

bool Http2Peer::Handshake(absl::Duration timeout) {
  SendPreface();
  return Await(FrameType::kSettings, timeout) &&
         Send(Frame{FrameType::kSettings, kAck, 0, ""});
}

bool Http2Peer::Send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t n =
        ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool Http2Peer::Send(const Frame& frame) {
  std::string bytes =
      BigEndian(static_cast<std::uint32_t>(frame.payload.size()), 3);
  bytes += static_cast<char>(frame.type);
  bytes += static_cast<char>(frame.flags);
  return Send(bytes + BigEndian(frame.stream, 4) + frame.payload);
}

bool Http2Peer::SendCall(std::uint32_t stream, const std::string& method) {
  return Send(
      Frame{FrameType::kHeaders, kEndHeaders, stream, CallHeaders(method)});
}

void Http2Peer::Vanish() {
  // A filter that lets no byte of any packet pass, not even to TCP itself.
  sock_filter nothing = {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog program = {.len = 1, .filter = &nothing};
  EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                         sizeof(program)),
            0)
      << std::strerror(errno);
}

std::optional<Frame> Http2Peer::Read(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::string header(kFrameHeaderBytes, '\0');
  if (!ReadBytes(header, deadline)) return std::nullopt;
  Frame frame = {static_cast<FrameType>(header[3]),
                 static_cast<std::uint8_t>(header[4]),
                 FromBigEndian(header.substr(5)),
                 std::string(FromBigEndian(header.substr(0, 3)), '\0')};
  if (!ReadBytes(frame.payload, deadline)) return std::nullopt;
  return frame;
}

bool Http2Peer::Await(FrameType type, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (const std::optional<Frame> frame = Read(deadline - absl::Now())) {
    if (frame->type == type) return true;
  }
  return false;
}

bool Http2Peer::AwaitEnd(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (Read(deadline - absl::Now()).has_value()) {
  }
  return absl::Now() < deadline;
}

bool Http2Peer::ReadBytes(std::string& bytes, absl::Time deadline) {
  for (std::size_t got = 0; got < bytes.size();) {
    const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
    pollfd waiting = {.fd = fd_, .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) {
      return false;
    }
    const ssize_t n = ::recv(fd_, bytes.data() + got, bytes.size() - got, 0);
    if (n <= 0) return false;
    got += static_cast<std::size_t>(n);
  }
  return true;
}

std::string HeaderField(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + HpackString(name) + HpackString(value);
}

std::string GrpcMessage(std::uint32_t size, const std::string& body) {
  return std::string(1, '\0') + BigEndian(size, 4) + body;
}

std::string CallHeaders(const std::string& method) {
  const std::string path =
      method.starts_with('/')
          ? method
          : absl::StrCat("/groupnorm.v1.GroupNormService/", method);
  return HeaderField(":method", "POST") + HeaderField(":scheme", "http") +
         HeaderField(":path", path) + HeaderField(":authority", "localhost") +
         HeaderField("content-type", "application/grpc") +
         HeaderField("te", "trailers");
}

}  // namespace groupnorm::load
