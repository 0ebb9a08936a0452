#include "http/h2_exchange.h"

#include <charconv>

#include "http/conversation.h"
#include "http/date.h"
#include "http/rate.h"

namespace penstock::http {
namespace {

using wire::FieldId;
using wire::H2Error;

// The rest of a body nobody wants is let go up to this size; a client with more is told to stop.
constexpr std::uint64_t kDiscardBytesMax = 256 * 1024;
// A small piece is copied, a large one is sent from where it is.
constexpr std::size_t kCopiedBytes = 4096;

// A body beyond this counts as a burden.
constexpr std::size_t kLightBytes = 16 * 1024;

// nghttp2 has checked that it is a number and that the data adds up to it.
std::uint64_t declared_length(const Fields& fields) {
  std::string_view text = fields.get(FieldId::content_length);
  std::uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

// Calls `take` with each field of lines "name: value" CRLF.
template <class Take>
void for_each_field(std::string_view lines, Take take) {
  while (!lines.empty()) {
    std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    std::size_t colon = line.find(": ");
    take(wire::H2Field{line.substr(0, colon), line.substr(colon + 2)});
  }
}

}  // namespace

H2Exchange::H2Exchange(H2Connection& connection, std::int32_t id, wire::H2Head head)
    : connection_(connection),
      id_(id),
      head_(std::move(head)),
      started_(connection.loop().now()),
      body_bytes_max_(connection.server().limits_.message.body_bytes_max),
      declared_(declared_length(head_.fields)),
      input_(connection.loop()),
      output_(connection.loop()),
      ended_(head_.ends) {
  std::string_view path = head_.path;
  std::size_t mark = std::min(path.find('?'), path.size());
  request_ = {head_.method, path.substr(0, mark), path.substr(std::min(mark + 1, path.size())), &head_.fields};
}

rt::Task<void> H2Exchange::run() {
  if (auto allowed = check_head(); allowed) co_await connection_.server().handler_(*this);
  notify_gone_ = nullptr;
  notify_drain_ = nullptr;
  if (!begun_ && !gone_) {
    if (refused_status_ == 0) {
      refused_status_ = 500;
      refused_detail_ = "the request was not answered";
    }
    co_await refuse(refused_status_, refused_detail_);
  }
  if (!gone_ && !finished_) abort();
  // What nobody took counts against the connection's window also when the stream is over.
  give_back();
  if (!gone_) close_request();
}

Result<void> H2Exchange::check_head() {
  const wire::Http1Limits& limits = connection_.server().limits_.message;
  if (head_.too_large) {
    refused_status_ = 431;
    refused_detail_ = fmt::format("the header fields are larger than the limit of {} bytes or more than {}",
                                  limits.head_bytes_max, limits.fields_max);
  } else if (head_.path.size() > limits.line_bytes_max) {
    refused_status_ = 414;
    refused_detail_ = fmt::format("the path is longer than the limit of {} bytes", limits.line_bytes_max);
  } else if (declared_ > limits.body_bytes_max) {
    fits(limits.body_bytes_max);
  }
  if (refused_status_ != 0) return fail(Errc::invalid_argument, refused_detail_);
  return {};
}

rt::Task<void> H2Exchange::refuse(int status, std::string detail) {
  ResponseHead head(status);
  head.add("content-type", "application/json");
  std::string body = connection_.server().error_body_(status, request_.path, detail);
  co_await respond(std::move(head), body);
}

// The answer is out. What is left of the request is of no use: a small rest may come, a large one is declined.
void H2Exchange::close_request() {
  if (ended_) return;
  bool small = declared_ > 0 && declared_ <= kDiscardBytesMax && (continued_ || !head_.fields.has(FieldId::expect));
  if (!small) connection_.session().reset(id_, H2Error::no_error);
  connection_.flush_soon();
}

bool H2Exchange::draining() const { return connection_.leaving(); }

// --- the request's body ---

void H2Exchange::on_data(std::string_view bytes) {
  received_ += bytes.size();
  held_ += bytes.size();
  continued_ = true;
  if (refused_status_ != 0) return;  // it waits at its window until the refusal has reached it
  body_ += bytes;
  if (body_.capacity() > kLightBytes) hold(body_.capacity());
  if (whole_) give_back();
  input_.set();
}

// Tells the burden of all connections what this body takes; with too much of that it is refused.
void H2Exchange::hold(std::size_t bytes) {
  if (bytes == burden_) return;
  Burden& burden = *connection_.server().burden_;
  bool grew = bytes > burden_;
  burden.buffer(connection_.loop().index(), static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(burden_));
  burden_ = bytes;
  if (grew && !burden.has_room(0))
    refuse_body(503, "the gateway holds as many bytes of requests as it may; try again in a moment");
}

void H2Exchange::refuse_body(int status, std::string detail) {
  if (status == 503) connection_.server().burden_->count_refused(connection_.loop().index(), Burden::Refused::bodies);
  refused_status_ = status;
  refused_detail_ = std::move(detail);
}

void H2Exchange::on_end() {
  ended_ = true;
  input_.set();
}

void H2Exchange::give_back() {
  connection_.session().consume(id_, std::exchange(held_, 0));
  connection_.flush_soon();
}

Result<void> H2Exchange::fits(std::uint64_t bytes_max) {
  if (conversation_) return {};
  body_bytes_max_ = std::min(bytes_max, body_bytes_max_);
  std::uint64_t size = std::max(declared_, received_);
  if (size <= body_bytes_max_) return {};
  refuse_body(413, fmt::format("the body of {} bytes is larger than the limit of {} bytes", size, body_bytes_max_));
  return fail(Errc::out_of_range, refused_detail_);
}

Result<void> H2Exchange::readable() const {
  if (refused_status_ == 413) return fail(Errc::out_of_range, refused_detail_);
  if (refused_status_ == 408) return fail(Errc::deadline_exceeded, refused_detail_);
  if (refused_status_ == 503) return fail(Errc::unavailable, refused_detail_);
  if (closed_) return fail(Errc::cancelled, "the client gave up the request");
  if (reading_stopped_) return fail(Errc::cancelled, "nobody wants the rest of the body");
  return {};
}

rt::Task<Result<std::string_view>> H2Exchange::read_body(std::uint64_t bytes_max) {
  using Task = rt::Task<Result<std::string_view>>;
  if (auto allowed = fits(bytes_max); !allowed) return Task::ready(std::unexpected(allowed.error()));
  whole_ = true;
  if (held_ > 0) give_back();
  if (!ended_) return read_rest(true);
  return Task::ready(std::string_view(body_));
}

rt::Task<Result<std::string_view>> H2Exchange::read_piece(std::uint64_t bytes_max) {
  using Task = rt::Task<Result<std::string_view>>;
  conversation_ = bytes_max == kConversation;
  if (auto allowed = fits(bytes_max); !allowed) return Task::ready(std::unexpected(allowed.error()));
  if (body_.empty() && !ended_) return read_rest(false);
  return Task::ready(take_piece());
}

std::string_view H2Exchange::take_piece() {
  piece_.clear();
  std::swap(piece_, body_);
  if (burden_ > 0) hold(body_.capacity() > kLightBytes ? body_.capacity() : 0);
  if (held_ > 0) give_back();
  return piece_;
}

// All of the body, or as much as comes next.
rt::Task<Result<std::string_view>> H2Exchange::read_rest(bool whole) {
  if (whole && !connection_.server().burden_->has_room(declared_))
    refuse_body(503, "the gateway has no room for a body of this size now; try again in a moment");
  if (refused_status_ == 0 && head_.fields.has(FieldId::expect) && !std::exchange(continued_, true)) {
    connection_.session().inform(id_, 100);
    connection_.flush_soon();
  }
  // Room for all of a body up to this size at once; larger ones grow as they come.
  constexpr std::uint64_t kReservedBytes = 1U << 20;
  if (whole && declared_ <= kReservedBytes) body_.reserve(static_cast<std::size_t>(declared_));
  while (refused_status_ != 0 || (!ended_ && (whole || body_.empty()))) {
    if (auto able = readable(); !able) co_return std::unexpected(able.error());
    base::SteadyTime from = loop().now();
    read_deadline_ = body_deadline();
    if (!conversation_) connection_.watch(read_deadline_);
    co_await input_;
    read_deadline_ = base::SteadyTime::max();
    body_waited_ += loop().now() - from;
    if (auto allowed = fits(body_bytes_max_); !allowed) co_return std::unexpected(allowed.error());
  }
  // What came whole is good, whatever happened since.
  co_return whole ? std::string_view(body_) : take_piece();
}

// However evenly it drips: the sum of all waiting is bounded by what came.
base::SteadyTime H2Exchange::body_deadline() const {
  if (conversation_) return base::SteadyTime::max();
  const ServerLimits& limits = connection_.server().limits_;
  base::Duration left = limits.body_timeout;
  if (limits.body_rate_min > 0)
    left = std::min(left, limits.body_timeout + time_at_rate(received_, limits.body_rate_min) - body_waited_);
  return connection_.loop().now() + left;
}

void H2Exchange::stop_reading() {
  reading_stopped_ = true;
  input_.set();
}

// --- the answer ---

void H2Exchange::send_head(const ResponseHead& head, bool has_body, std::string_view length) {
  thread_local std::vector<wire::H2Field> fields;
  fields.clear();
  for_each_field(head.lines(), [](wire::H2Field field) { fields.push_back(field); });
  fields.push_back({"date", http_date()});
  if (!length.empty()) fields.push_back({"content-length", length});
  begun_ = true;
  // While the request still comes, the end of an answer is a frame of its own: once that is taken the rest of the
  // request can be declined, and not before.
  has_body = has_body || !ended_;
  status_ = head.status();
  no_data_ = !has_body;
  connection_.session().respond(id_, head.status(), fields, has_body);
  connection_.flush_soon();
}

rt::Task<Result<void>> H2Exchange::respond(ResponseHead head, std::string_view body) {
  bodiless_ = head.status() == 204 || head.status() == 304;
  base::Digits length(body.size());
  if (bodiless_ || request_.method == "HEAD") body = {};
  send_head(head, !body.empty(), bodiless_ ? std::string_view() : std::string_view(length));
  bytes_sent_ += body.size();
  large_ = body;
  finishing_ = true;
  return taken();
}

void H2Exchange::begin(ResponseHead head) {
  bodiless_ = request_.method == "HEAD" || head.status() == 204 || head.status() == 304;
  send_head(head, !bodiless_, {});
}

void H2Exchange::append(std::string_view bytes) {
  if (bodiless_) return;
  bytes_sent_ += bytes.size();
  pending_ += bytes;
}

rt::Task<Result<void>> H2Exchange::write(std::string_view bytes) {
  if (bytes.size() <= kCopiedBytes || bodiless_) {
    append(bytes);
  } else {
    bytes_sent_ += bytes.size();
    large_ = bytes;
  }
  return taken();
}

rt::Task<Result<void>> H2Exchange::flush() { return taken(); }

rt::Task<Result<void>> H2Exchange::finish() {
  finishing_ = true;
  return taken();
}

void H2Exchange::trailer(std::string_view name, std::string_view value) {
  if (!bodiless_) append_field(trailer_lines_, name, value);
}

// Until the connection has taken what there is to send, and the end of it when that is there too.
rt::Task<Result<void>> H2Exchange::taken() {
  using Task = rt::Task<Result<void>>;
  if (no_data_) {
    finished_ = finishing_;
    return Task::ready(Result<void>{});
  }
  if (!gone_) {
    connection_.session().resume(id_);
    connection_.flush_soon();
    if (all_taken()) return Task::ready(Result<void>{});
  }
  return wait_until_taken();
}

bool H2Exchange::all_taken() const {
  return pending_at_ == pending_.size() && large_.empty() && finishing_ == finished_;
}

rt::Task<Result<void>> H2Exchange::wait_until_taken() {
  const ServerLimits& limits = connection_.server().limits_;
  base::Duration patience = limits.write_patience(status_);
  write_latest_ = base::SteadyTime::max();
  std::size_t bytes = pending_.size() - pending_at_ + large_.size();
  if (limits.answer_rate_min > 0) write_latest_ = loop().now() + patience + time_at_rate(bytes, limits.answer_rate_min);
  write_deadline_ = loop().now() + patience;
  connection_.watch(write_deadline_);
  while (!gone_ && !all_taken()) co_await output_;
  write_deadline_ = base::SteadyTime::max();
  if (!gone_) co_return Result<void>{};
  large_ = {};
  if (stalled_) co_return fail(Errc::deadline_exceeded, "the client took nothing for too long");
  co_return fail(Errc::cancelled, "the client gave up the request");
}

wire::H2Data H2Exchange::take_data(std::span<char> room) {
  std::size_t small = std::min(room.size(), pending_.size() - pending_at_);
  std::copy_n(pending_.begin() + static_cast<std::ptrdiff_t>(pending_at_), small, room.begin());
  pending_at_ += small;
  if (pending_at_ == pending_.size()) {
    pending_.clear();
    pending_at_ = 0;
  }
  std::size_t large = std::min(room.size() - small, large_.size());
  std::copy_n(large_.begin(), large, room.begin() + static_cast<std::ptrdiff_t>(small));
  large_.remove_prefix(large);
  wire::H2Data data{small + large, false, {}};
  if (write_deadline_ != base::SteadyTime::max() && data.bytes > 0)
    write_deadline_ = std::min(loop().now() + connection_.server().limits_.write_patience(status_), write_latest_);
  if (!pending_.empty() || !large_.empty()) return data;
  if (finishing_) {
    data.end = finished_ = true;
    for_each_field(trailer_lines_, [this](wire::H2Field field) { trailer_fields_.push_back(field); });
    data.trailers = trailer_fields_;
  }
  output_.set();
  return data;
}

// --- how it ends ---

void H2Exchange::on_closed(H2Error) {
  closed_ = true;
  input_.set();
  if (!finished_) leave();
}

void H2Exchange::leave() {
  if (std::exchange(gone_, true)) return;
  large_ = {};
  output_.set();
  input_.set();
  if (notify_gone_) std::exchange(notify_gone_, nullptr)();
}

void H2Exchange::lose() {
  connection_.session().detach(id_);
  on_closed(H2Error::cancel);
}

base::SteadyTime H2Exchange::expire(base::SteadyTime now) {
  if (read_deadline_ <= now) {
    read_deadline_ = base::SteadyTime::max();
    refuse_body(408, "the request body did not arrive in time");
    input_.set();
  }
  if (write_deadline_ <= now) {
    write_deadline_ = base::SteadyTime::max();
    stalled_ = true;
    connection_.session().reset(id_, H2Error::cancel);
    leave();
  }
  return std::min(read_deadline_, write_deadline_);
}

void H2Exchange::abort() {
  begun_ = true;
  if (finished_) return;
  finishing_ = finished_ = true;
  large_ = {};
  connection_.session().reset(id_, H2Error::internal_error);
  connection_.flush_soon();
}

}  // namespace penstock::http
