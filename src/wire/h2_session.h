// HTTP/2 framing for either side of a connection (RFC 9113, HPACK RFC 7541), over nghttp2: bytes in, events out, and
// bytes to send pulled out. Holds no socket and no clock; nothing of nghttp2 shows. One loop's thread.
//
// Whoever owns the session feeds it what arrived, then pulls what is to go out: both, never from inside an event. All
// else may be called from events. What a message may look like is checked below (RFC 9113 section 8: field names and
// values, pseudo-header fields, connection-specific fields, content-length against the data): a message that breaks
// the rules is reset and its stream hears on_closed().
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/fields.h"

struct nghttp2_session;

namespace penstock::wire {

// RFC 9113 section 7. The other side may send codes beyond these.
enum class H2Error : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  flow_control_error = 3,
  settings_timeout = 4,
  stream_closed = 5,
  frame_size_error = 6,
  refused_stream = 7,
  cancel = 8,
  compression_error = 9,
  connect_error = 10,
  enhance_your_calm = 11,
  inadequate_security = 12,
  http_1_1_required = 13
};
// "ENHANCE_YOUR_CALM"; "unknown error" for what is not in the list.
std::string_view h2_error_name(H2Error error);

// RFC 9113 section 6. Others are numbers of extensions.
enum class H2FrameType : std::uint8_t {
  data = 0,
  headers = 1,
  priority = 2,
  rst_stream = 3,
  settings = 4,
  push_promise = 5,
  ping = 6,
  goaway = 7,
  window_update = 8,
  continuation = 9
};

// What we tell the other side, and hold it to.
struct H2Limits {
  std::uint32_t streams_max = 100;                  // open at a time, by the other side
  std::uint32_t stream_window_bytes = 256 * 1024;   // not yet consumed, of one stream
  std::uint32_t session_window_bytes = 1U << 20;    // not yet consumed, of all streams together
  std::uint32_t header_list_bytes_max = 32 * 1024;  // names, values and 32 for each field (RFC 9113 section 6.5.2)
  std::uint32_t fields_max = 512;
  std::uint32_t header_table_bytes = 4096;  // of HPACK, each way

  bool operator==(const H2Limits&) const = default;
};

// The head of a message. Pseudo-header fields are not among `fields`; the authority is there as "host".
struct H2Head {
  std::string method;  // requests
  std::string scheme;
  std::string path;      // with the query; empty for CONNECT
  std::string protocol;  // of an extended CONNECT (RFC 8441)
  int status = 0;        // responses; 1xx are followed by another head
  Fields fields;
  bool ends = false;       // nothing follows: no body, no trailers
  bool too_large = false;  // more than the limits allow: the fields are not complete
};

struct H2Field {
  std::string_view name;  // in lower case
  std::string_view value;
};

// What a stream has to send now. Nothing and not the end: nothing goes out before H2Session::resume().
struct H2Data {
  std::size_t bytes = 0;              // written to the room
  bool end = false;                   // these were the last
  std::span<const H2Field> trailers;  // with `end`: go out behind the data
};

// One stream, as its owner hears of it: attached to the session until on_closed() or detach().
class H2Stream {
 public:
  virtual ~H2Stream() = default;
  // A response's head (a request's comes by H2Owner::on_request). May be moved from.
  virtual void on_head([[maybe_unused]] H2Head& head) {}
  // Counts against the windows until H2Session::consume(). The view ends with the call.
  virtual void on_data(std::string_view bytes) = 0;
  // Without those that may not come behind a body.
  virtual void on_trailers([[maybe_unused]] Fields& trailers) {}
  // The other side has sent everything.
  virtual void on_end() = 0;
  // Nothing more comes or goes. After a whole exchange the code is no_error, else that of the reset, whoever sent it.
  virtual void on_closed(H2Error error) = 0;
  // Writes what goes out next, as much as fits.
  virtual H2Data take_data(std::span<char> room) = 0;
};

// The connection that owns a session.
class H2Owner {
 public:
  virtual ~H2Owner() = default;
  // Server: a request began. attach() now whoever is to hear of it. `head` may be moved from.
  virtual void on_request([[maybe_unused]] std::int32_t stream, [[maybe_unused]] H2Head& head) {}
  // Before a frame is read, of any type: for those who count.
  virtual void on_frame([[maybe_unused]] H2FrameType type, [[maybe_unused]] bool end_stream,
                        [[maybe_unused]] std::size_t length) {}
  virtual void on_sent([[maybe_unused]] H2FrameType type) {}
  // The rules made the session reset a stream because of what the other side sent.
  virtual void on_forced_reset([[maybe_unused]] std::int32_t stream) {}
  // Streams above `last_stream` were not and will not be worked on.
  virtual void on_goaway([[maybe_unused]] std::int32_t last_stream, [[maybe_unused]] H2Error error) {}
  // The other side's settings came, or changed.
  virtual void on_settings() {}
  // The answer to ping().
  virtual void on_pong() {}
};

class H2Session {
 public:
  enum class Side { server, client };
  // The owner outlives the session; attached streams live until they are detached or closed. The preface and the
  // settings wait to be pulled.
  H2Session(Side side, const H2Limits& limits, H2Owner& owner);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // Takes what arrived. False when the connection cannot go on: pull what is left (a GOAWAY says why), then close.
  bool feed(std::string_view bytes);
  // Appends what is to be sent to `out`, until there is no more or `out` holds `bytes_max` or a frame more.
  void pull(std::string& out, std::size_t bytes_max);
  bool wants_write() const;
  // Neither reads nor writes any more: close.
  bool over() const;
  // A frame, or a block of header fields, has begun and not ended; pieces of data do not count.
  bool midway() const {
    return header_got_ > 0 || (payload_left_ > 0 && frame_type_ != H2FrameType::data) || in_block_;
  }
  // Frames that wait to be pulled, data not counted.
  std::size_t queued() const;
  // Why feed() said no, or why we ended the session; for logs.
  const std::string& defect() const { return defect_; }
  // The other side sent so much of what makes no sense that we ended the session.
  bool flooded() const { return flooded_; }

  // --- streams ---
  // Client: a new stream, attached to `stream`. Its number, or 0 when the connection can open no more. Data is taken
  // from `stream` when `has_body`. The pseudo-header fields come first. More than remote_streams_max() wait.
  std::int32_t request(std::span<const H2Field> fields, bool has_body, H2Stream& stream);
  // Server: the head of the answer; data is taken from the attached stream when `has_body`. `status` is its first
  // field.
  void respond(std::int32_t stream, int status, std::span<const H2Field> fields, bool has_body);
  // Server: an interim answer.
  void inform(std::int32_t stream, int status);
  void attach(std::int32_t stream, H2Stream& owner);
  // Nobody hears of it any more; data that still comes is let go.
  void detach(std::int32_t stream);
  // There is something to take_data() again.
  void resume(std::int32_t stream);
  // Gives bytes of on_data() back to the windows of stream and session. Also for a stream that is gone.
  void consume(std::int32_t stream, std::size_t bytes);
  void reset(std::int32_t stream, H2Error error);
  // What may be sent now on this stream, as far as its own window goes; negative after the other side shrank it.
  std::int32_t send_window(std::int32_t stream) const;

  // --- the connection ---
  // Server: no new streams soon, please; those already under way are taken (RFC 9113 section 6.8). Then goaway().
  void announce_shutdown();
  // No new streams from now on; the open ones go on.
  void goaway(H2Error error);
  // The end: GOAWAY, and nothing is read or sent after it.
  void terminate(H2Error error, std::string why);
  void ping();
  // What the other side allows us to open at a time.
  std::uint32_t remote_streams_max() const;

 private:
  struct Callbacks;
  friend struct Callbacks;
  bool take_field(std::string_view name, std::string_view value);
  void follow(std::string_view bytes);
  void follow_priority(std::string_view part);
  void check_data();
  void check_stream(H2FrameType type, std::int32_t stream);
  void take_pseudo_field(std::string_view name, std::string_view value);
  void head_done(std::int32_t stream, bool request);

  H2Owner& owner_;
  H2Limits limits_;
  nghttp2_session* session_ = nullptr;
  H2Head head_;                           // the block of fields being read: one at a time on a connection
  std::size_t head_bytes_ = 0;            // as SETTINGS_MAX_HEADER_LIST_SIZE counts
  std::int32_t last_request_ = 0;         // client: those above wait to be pulled
  bool first_head_ = true;                // of its stream: no trailers, and not what follows an interim head
  std::vector<std::int32_t> our_resets_;  // submitted and not yet sent
  std::array<std::int32_t, 128> late_{};  // the streams reset here last: what still comes of them is let go
  std::size_t late_at_ = 0;
  std::int32_t late_forgotten_ = 0;  // the highest that was: nobody can tell any more about those below
  std::string defect_;
  // Where the other side is in its frames.
  std::size_t preface_left_;
  std::array<std::uint8_t, 9> header_{};
  std::size_t header_got_ = 0;
  std::size_t payload_left_ = 0;
  H2FrameType frame_type_{};
  std::uint64_t priority_ = 0;  // the payload of a PRIORITY frame
  bool in_block_ = false;       // between HEADERS and the END_HEADERS that ends the block
  bool broken_ = false;
  bool flooded_ = false;
};

}  // namespace penstock::wire
