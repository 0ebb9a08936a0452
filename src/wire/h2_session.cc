#include "wire/h2_session.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <new>

#include "wire/chunk_decoder.h"

namespace penstock::wire {
namespace {

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 only reads
}

// Credentials must not meet other fields in a compression table, where their bytes could be guessed (RFC 7541
// section 7.1.3). nghttp2 itself knows authorization and short cookies.
bool is_credential(std::string_view name) {
  switch (field_id(name)) {
    case FieldId::authorization:
    case FieldId::proxy_authorization:
    case FieldId::api_key:
    case FieldId::x_api_key:
    case FieldId::x_goog_api_key:
    case FieldId::cookie:
    case FieldId::set_cookie: return true;
    default: return false;
  }
}

void add(std::vector<nghttp2_nv>& list, std::string_view name, std::string_view value) {
  auto flags = is_credential(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
  list.push_back({bytes_of(name), bytes_of(value), name.size(), value.size(), static_cast<std::uint8_t>(flags)});
}

// nghttp2 copies what it is given before it returns.
std::vector<nghttp2_nv>& list_of(std::span<const H2Field> fields) {
  thread_local std::vector<nghttp2_nv> list;
  list.clear();
  for (const H2Field& field : fields) add(list, field.name, field.value);
  return list;
}

struct OptionFree {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
using Option = std::unique_ptr<nghttp2_option, OptionFree>;

Option make_options(const H2Limits& limits) {
  nghttp2_option* made = nullptr;
  if (nghttp2_option_new(&made) != 0) throw std::bad_alloc();
  Option option(made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  // Answers to PING and SETTINGS that wait because the other side does not read: beyond this it is misbehaving.
  nghttp2_option_set_max_outbound_ack(made, 100);
  nghttp2_option_set_max_continuations(made, 8);
  nghttp2_option_set_max_deflate_dynamic_table_size(made, limits.header_table_bytes);
  return option;
}

}  // namespace

std::string_view h2_error_name(H2Error error) {
  constexpr std::array<std::string_view, 14> kNames{"NO_ERROR",
                                                    "PROTOCOL_ERROR",
                                                    "INTERNAL_ERROR",
                                                    "FLOW_CONTROL_ERROR",
                                                    "SETTINGS_TIMEOUT",
                                                    "STREAM_CLOSED",
                                                    "FRAME_SIZE_ERROR",
                                                    "REFUSED_STREAM",
                                                    "CANCEL",
                                                    "COMPRESSION_ERROR",
                                                    "CONNECT_ERROR",
                                                    "ENHANCE_YOUR_CALM",
                                                    "INADEQUATE_SECURITY",
                                                    "HTTP_1_1_REQUIRED"};
  auto code = static_cast<std::size_t>(error);
  return code < kNames.size() ? kNames[code] : "unknown error";
}

// What nghttp2 calls. Each returns 0, or an error of nghttp2.
struct H2Session::Callbacks {
  static H2Session& self(void* user) { return *static_cast<H2Session*>(user); }
  static H2Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* head, void* user) {
    bool ends =
        (head->type == NGHTTP2_DATA || head->type == NGHTTP2_HEADERS) && (head->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    auto type = static_cast<H2FrameType>(head->type);
    self(user).owner_.on_frame(type, ends, head->length);
    if (nghttp2_session_check_server_session(session) != 0) self(user).check_stream(type, head->stream_id);
    return 0;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    self(user).head_ = {};
    self(user).first_head_ = frame->headers.cat != NGHTTP2_HCAT_HEADERS;
    self(user).head_bytes_ = 0;
    return 0;
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* user) {
    if (self(user).take_field(view(name, name_size), view(value, value_size))) return 0;
    return refuse_message(session, frame->hd.stream_id);
  }

  static int refuse_message(nghttp2_session* session, std::int32_t stream) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  // nghttp2 would pass over a field that no rule allows; a message that holds one is malformed.
  static int on_invalid_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t*, std::size_t,
                               const std::uint8_t*, std::size_t, std::uint8_t, void*) {
    return refuse_message(session, frame->hd.stream_id);
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Session& me = self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        me.head_.ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        me.head_done(frame->hd.stream_id, frame->headers.cat == NGHTTP2_HCAT_REQUEST);
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) me.owner_.on_settings();
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) me.owner_.on_pong();
        break;
      case NGHTTP2_GOAWAY:
        me.owner_.on_goaway(frame->goaway.last_stream_id, static_cast<H2Error>(frame->goaway.error_code));
        break;
      default: break;
    }
    bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    H2Stream* stream = ends ? stream_of(session, frame->hd.stream_id) : nullptr;
    if (stream != nullptr) stream->on_end();
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                     std::size_t size, void*) {
    if (H2Stream* stream = stream_of(session, id)) {
      stream->on_data(view(bytes, size));
    } else {
      nghttp2_session_consume(session, id, size);
    }
    return 0;
  }

  static int on_closed(nghttp2_session* session, std::int32_t id, std::uint32_t code, void* user) {
    std::erase(self(user).our_resets_, id);
    H2Stream* stream = stream_of(session, id);
    nghttp2_session_set_stream_user_data(session, id, nullptr);
    if (stream != nullptr) stream->on_closed(static_cast<H2Error>(code));
    return 0;
  }

  static bool is_request(const nghttp2_frame& frame) {
    return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
  }

  static int on_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& me = self(user);
    if (is_request(*frame)) me.last_request_ = frame->hd.stream_id;
    me.owner_.on_sent(static_cast<H2FrameType>(frame->hd.type));
    if (frame->hd.type != NGHTTP2_RST_STREAM) return 0;
    std::int32_t& place = me.late_[me.late_at_++ % me.late_.size()];
    me.late_forgotten_ = std::max(me.late_forgotten_, std::exchange(place, frame->hd.stream_id));
    auto ours = std::find(me.our_resets_.begin(), me.our_resets_.end(), frame->hd.stream_id);
    if (ours != me.our_resets_.end()) {
      me.our_resets_.erase(ours);
    } else {
      me.owner_.on_forced_reset(frame->hd.stream_id);
    }
    return 0;
  }

  // A head that cannot be sent (larger than nghttp2 takes) must not leave its stream waiting for ever. Of a request's,
  // nghttp2 closes the stream itself, and the other side has never heard of it.
  static int on_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    H2Session& me = self(user);
    if (frame->hd.type == NGHTTP2_RST_STREAM) std::erase(me.our_resets_, frame->hd.stream_id);
    if (is_request(*frame)) {
      me.last_request_ = frame->hd.stream_id;
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
      me.reset(frame->hd.stream_id, H2Error::internal_error);
    }
    return 0;
  }

  static int on_error(nghttp2_session*, int, const char* text, std::size_t size, void* user) {
    if (self(user).defect_.empty()) self(user).defect_.assign(text, size);
    return 0;
  }

  static ssize_t read_data(nghttp2_session* session, std::int32_t id, std::uint8_t* room, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source*, void*) {
    H2Stream* stream = stream_of(session, id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // abandoned: reset
    H2Data data = stream->take_data({reinterpret_cast<char*>(room), size});
    if (data.bytes == 0 && !data.end) return NGHTTP2_ERR_DEFERRED;
    if (data.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (data.end && !data.trailers.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const auto& list = list_of(data.trailers);
      nghttp2_submit_trailer(session, id, list.data(), list.size());
    }
    return static_cast<ssize_t>(data.bytes);
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* all = nullptr;
    if (nghttp2_session_callbacks_new(&all) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(all, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(all, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(all, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(all, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(all, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(all, on_closed);
    nghttp2_session_callbacks_set_on_frame_send_callback(all, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(all, on_not_sent);
    nghttp2_session_callbacks_set_error_callback2(all, on_error);
    return all;
  }
};

H2Session::H2Session(Side side, const H2Limits& limits, H2Owner& owner)
    : owner_(owner), limits_(limits), preface_left_(side == Side::server ? NGHTTP2_CLIENT_MAGIC_LEN : 0) {
  static nghttp2_session_callbacks* const kCallbacks = Callbacks::make();
  Option option = make_options(limits);
  bool server = side == Side::server;
  int made = server ? nghttp2_session_server_new2(&session_, kCallbacks, this, option.get())
                    : nghttp2_session_client_new2(&session_, kCallbacks, this, option.get());
  if (made != 0) throw std::bad_alloc();
  std::array<nghttp2_settings_entry, 5> settings{{{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window_bytes},
                                                  {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_list_bytes_max},
                                                  {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, limits.header_table_bytes},
                                                  {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams_max},
                                                  {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}}};
  if (!server) settings[3] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(limits.session_window_bytes));
}

H2Session::~H2Session() { nghttp2_session_del(session_); }

bool H2Session::feed(std::string_view bytes) {
  auto receive = [this](std::string_view part) {
    ssize_t used = nghttp2_session_mem_recv(session_, bytes_of(part), part.size());
    if (used >= 0) return true;
    broken_ = true;
    auto error = static_cast<int>(used);
    if (defect_.empty()) defect_ = nghttp2_strerror(error);
    flooded_ = flooded_ || error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
    nghttp2_session_terminate_session(session_, flooded_ ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
    return false;
  };
  std::size_t given = 0;
  for (std::size_t at = 0; at < bytes.size() && !broken_;) {
    bool in_header = preface_left_ == 0 && payload_left_ == 0;
    std::size_t part = in_header ? header_.size() - header_got_ : std::max(preface_left_, payload_left_);
    part = std::min(part, bytes.size() - at);
    follow(bytes.substr(at, part));
    at += part;
    bool unknown = in_header && header_got_ == 0 && frame_type_ > H2FrameType::continuation;
    if (unknown) owner_.on_frame(frame_type_, false, payload_left_);  // nghttp2 passes over it without a word
    // nghttp2 says nothing about data of streams it no longer knows: what comes before is taken first, then it is seen.
    bool data = in_header && header_got_ == 0 && frame_type_ == H2FrameType::data;
    if (!data && at < bytes.size()) continue;
    if (receive(bytes.substr(given, at - given)) && data) check_data();
    given = at;
  }
  return !broken_ && nghttp2_session_want_read(session_) != 0;
}

void H2Session::check_data() {
  auto stream = static_cast<std::int32_t>((header_[5] & 0x7f) << 24 | header_[6] << 16 | header_[7] << 8 | header_[8]);
  if (nghttp2_session_check_server_session(session_) == 0 || nghttp2_session_find_stream(session_, stream) != nullptr)
    return;
  owner_.on_frame(H2FrameType::data, (header_[4] & NGHTTP2_FLAG_END_STREAM) != 0, payload_left_);
  check_stream(H2FrameType::data, stream);
}

// A stream that depends on itself (RFC 7540 section 5.3.1): with priorities switched off nghttp2 does not look.
void H2Session::follow_priority(std::string_view part) {
  for (char c : part) priority_ = priority_ << 8 | static_cast<std::uint8_t>(c);
  auto number = [](std::uint64_t bytes) { return bytes & 0x7fffffff; };
  std::uint64_t stream = 0;
  for (std::size_t i = 5; i < header_.size(); ++i) stream = stream << 8 | header_[i];
  if (part.size() == payload_left_ && number(priority_ >> 8) == number(stream))
    terminate(H2Error::protocol_error, "a stream that depends on itself");
}

// Frames begin and end here as nghttp2 sees them; it does not tell in the middle of one.
void H2Session::follow(std::string_view bytes) {
  std::size_t skipped = std::min(preface_left_, bytes.size());
  preface_left_ -= skipped;
  bytes.remove_prefix(skipped);
  while (!bytes.empty()) {
    std::size_t step = std::min(payload_left_, bytes.size());
    if (step > 0 && frame_type_ == H2FrameType::priority) follow_priority(bytes.substr(0, step));
    payload_left_ -= step;
    bytes.remove_prefix(step);
    if (bytes.empty()) return;
    if (payload_left_ > 0) continue;
    header_[header_got_++] = static_cast<std::uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    if (header_got_ < header_.size()) continue;
    header_got_ = 0;
    payload_left_ = static_cast<std::size_t>(header_[0] << 16 | header_[1] << 8 | header_[2]);
    frame_type_ = static_cast<H2FrameType>(header_[3]);
    priority_ = 0;
    if (frame_type_ == H2FrameType::headers || frame_type_ == H2FrameType::continuation)
      in_block_ = (header_[4] & NGHTTP2_FLAG_END_HEADERS) == 0;
  }
}

// RFC 9113 section 5.1, which nghttp2 does not insist on where it no longer knows a stream. What was on its way when we
// reset one is no fault of the client's.
void H2Session::check_stream(H2FrameType type, std::int32_t stream) {
  if (type == H2FrameType::priority && stream == 0) {
    terminate(H2Error::protocol_error, "PRIORITY of no stream");
    return;
  }
  if (type != H2FrameType::data && type != H2FrameType::headers) return;
  bool ended = stream % 2 == 1 && stream <= nghttp2_session_get_last_proc_stream_id(session_) &&
               nghttp2_session_find_stream(session_, stream) == nullptr;
  if (!ended || stream <= late_forgotten_ || std::find(late_.begin(), late_.end(), stream) != late_.end()) return;
  terminate(H2Error::stream_closed, "a frame of a stream that has ended");
}

void H2Session::pull(std::string& out, std::size_t bytes_max) {
  while (out.size() < bytes_max) {
    const std::uint8_t* bytes = nullptr;
    ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) broken_ = true;
    if (size <= 0) return;
    out.append(view(bytes, static_cast<std::size_t>(size)));
  }
}

bool H2Session::wants_write() const { return nghttp2_session_want_write(session_) != 0; }

bool H2Session::over() const { return !wants_write() && (broken_ || nghttp2_session_want_read(session_) == 0); }

std::size_t H2Session::queued() const { return nghttp2_session_get_outbound_queue_size(session_); }

// False: the block is not wanted any more.
bool H2Session::take_field(std::string_view name, std::string_view value) {
  constexpr std::size_t kOverheadBytes = 32;
  head_bytes_ += name.size() + value.size() + kOverheadBytes;
  // A few bytes can stand for many: what goes far beyond the limit is meant to hurt.
  constexpr std::size_t kBombFactor = 32;
  if (head_bytes_ > kBombFactor * limits_.header_list_bytes_max) {
    terminate(H2Error::enhance_your_calm, "a header list far larger than allowed");
    return false;
  }
  head_.too_large =
      head_.too_large || head_bytes_ > limits_.header_list_bytes_max || head_.fields.size() >= limits_.fields_max;
  if (name.starts_with(':')) {
    if (head_bytes_ <= limits_.header_list_bytes_max) take_pseudo_field(name, value);
  } else if (!head_.too_large) {
    // The authority, once more: RFC 9113 section 8.3.1 wants the two to be the same.
    bool again = false;
    std::string_view known = name == "host" ? head_.fields.get(FieldId::host, &again) : std::string_view();
    if (again) return known == value;
    bool trails = !first_head_ && head_.status == 0;  // a head that follows an interim one begins with its status
    if (trails && (name == "content-length" || !may_trail(field_id(name), name))) return true;
    head_.fields.add(name, value);
  }
  return true;
}

void H2Session::take_pseudo_field(std::string_view name, std::string_view value) {
  if (name == ":method") {
    head_.method = value;
  } else if (name == ":path") {
    head_.path = value;
  } else if (name == ":scheme") {
    head_.scheme = value;
  } else if (name == ":authority") {
    head_.fields.add("host", value);
  } else if (name == ":protocol") {
    head_.protocol = value;
  } else if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), head_.status);
  }
}

void H2Session::head_done(std::int32_t id, bool request) {
  if (request) {
    owner_.on_request(id, head_);
    return;
  }
  H2Stream* stream = Callbacks::stream_of(session_, id);
  if (stream == nullptr) return;
  if (head_.status != 0) {
    stream->on_head(head_);
  } else if (head_.too_large) {
    reset(id, H2Error::enhance_your_calm);
  } else {
    stream->on_trailers(head_.fields);
  }
}

std::int32_t H2Session::request(std::span<const H2Field> fields, bool has_body, H2Stream& stream) {
  nghttp2_data_provider data{{}, Callbacks::read_data};
  const auto& list = list_of(fields);
  std::int32_t id =
      nghttp2_submit_request(session_, nullptr, list.data(), list.size(), has_body ? &data : nullptr, &stream);
  return std::max(id, 0);
}

void H2Session::respond(std::int32_t stream, int status, std::span<const H2Field> fields, bool has_body) {
  nghttp2_data_provider data{{}, Callbacks::read_data};
  std::array<char, 12> digits{};
  auto* end = std::to_chars(digits.data(), digits.data() + digits.size(), status).ptr;
  thread_local std::vector<nghttp2_nv> list;
  list.clear();
  add(list, ":status", {digits.data(), end});
  for (const H2Field& field : fields) add(list, field.name, field.value);
  nghttp2_submit_response(session_, stream, list.data(), list.size(), has_body ? &data : nullptr);
}

void H2Session::inform(std::int32_t stream, int status) {
  std::string digits = fmt::format("{}", status);
  std::array<H2Field, 1> fields{{{":status", digits}}};
  const auto& list = list_of(fields);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream, nullptr, list.data(), list.size(), nullptr);
}

void H2Session::attach(std::int32_t stream, H2Stream& owner) {
  nghttp2_session_set_stream_user_data(session_, stream, &owner);
}

void H2Session::detach(std::int32_t stream) { nghttp2_session_set_stream_user_data(session_, stream, nullptr); }

void H2Session::resume(std::int32_t stream) { nghttp2_session_resume_data(session_, stream); }

void H2Session::consume(std::int32_t stream, std::size_t bytes) { nghttp2_session_consume(session_, stream, bytes); }

void H2Session::reset(std::int32_t stream, H2Error error) {
  // A request that still waits to be pulled is withdrawn, without a frame.
  bool waits = nghttp2_session_check_server_session(session_) == 0 && stream > last_request_;
  if (!waits && nghttp2_session_find_stream(session_, stream) == nullptr) return;
  if (!waits) our_resets_.push_back(stream);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, static_cast<std::uint32_t>(error));
}

std::int32_t H2Session::send_window(std::int32_t stream) const {
  return nghttp2_session_get_stream_remote_window_size(session_, stream);
}

void H2Session::announce_shutdown() { nghttp2_submit_shutdown_notice(session_); }

void H2Session::goaway(H2Error error) {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        static_cast<std::uint32_t>(error), nullptr, 0);
}

void H2Session::terminate(H2Error error, std::string why) {
  if (defect_.empty()) defect_ = std::move(why);
  flooded_ = flooded_ || error == H2Error::enhance_your_calm;
  nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(error));
}

void H2Session::ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

std::uint32_t H2Session::remote_streams_max() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

}  // namespace penstock::wire
