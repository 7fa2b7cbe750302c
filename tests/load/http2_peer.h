#ifndef GROUPNORM_TESTS_LOAD_HTTP2_PEER_H_
#define GROUPNORM_TESTS_LOAD_HTTP2_PEER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

/// A peer that speaks HTTP/2 by hand, and so may break it, or stop anywhere.
namespace groupnorm::load {

/// What a frame is for (RFC 9113, section 6), as far as the tests need it.
enum class FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

constexpr std::uint8_t kAck = 0x1;  // Of kSettings.
constexpr std::uint8_t kEndHeaders = 0x4;

struct Frame {
  FrameType type;
  std::uint8_t flags;
  std::uint32_t stream;
  std::string payload;
};

/// One connection. Move-only; closes when destroyed.
class Http2Peer {
 public:
  /// Connects to `host:port` on the loopback or to `unix:path`. Fails the test
  /// where that is refused.
  explicit Http2Peer(const std::string& address);
  Http2Peer(Http2Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Http2Peer& operator=(Http2Peer&&) = delete;
  ~Http2Peer();

  /// The client's preface and empty SETTINGS.
  void SendPreface();

  /// The same with room for `window` bytes that it has not consented to yet, on
  /// each stream and on all together.
  void SendPrefaceWithWindow(std::uint32_t window);

  /// The same, then consents to the server's SETTINGS once they have come.
  /// Returns whether they did before `timeout`.
  bool Handshake(absl::Duration timeout);

  /// False where the peer has closed the connection. May block while the
  /// peer's window is full.
  bool Send(const std::string& bytes);
  bool Send(const Frame& frame);

  /// The headers of a call of `method`, "Forward" for one, or the path of a
  /// method of another service; its body is open.
  bool SendCall(std::uint32_t stream, const std::string& method);

  /// From now on no packet of the server's arrives, nor is any answered, as
  /// though this machine were gone.
  void Vanish();

  /// Reads the next frame. Nothing after `timeout`, or at the connection's end.
  std::optional<Frame> Read(absl::Duration timeout);

  /// Whether a frame of that type came before `timeout`; reads what comes
  /// before it.
  bool Await(FrameType type, absl::Duration timeout);

  /// Whether the server closed the connection before `timeout`.
  bool AwaitEnd(absl::Duration timeout);

 private:
  bool ReadBytes(std::string& bytes, absl::Time deadline);

  int fd_ = -1;
};

/// A header field as HPACK's literal without indexing.
std::string HeaderField(const std::string& name, const std::string& value);

/// A gRPC message with its prefix, which says `size` whatever the body has.
std::string GrpcMessage(std::uint32_t size, const std::string& body);

/// A call's header block; `method` as of SendCall().
std::string CallHeaders(const std::string& method);

}  // namespace groupnorm::load

#endif  // GROUPNORM_TESTS_LOAD_HTTP2_PEER_H_
