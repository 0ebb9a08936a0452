// HTTP/2 towards upstreams (RFC 9113): one connection that several calls share, and each call's stream on it. All of it
// lives on one loop. The connection reads whenever bytes arrive and writes once per turn of the loop for all of its
// streams. What was received counts against a stream's window until its call takes it, and the connection's window
// holds all streams' windows: a call that nobody reads holds back no other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/origin.h"
#include "net/stream.h"
#include "rt/task.h"
#include "rt/wait.h"
#include "wire/fields.h"
#include "wire/h2_session.h"

namespace penstock::http {

class H2Upstream;

// One call's stream. Destroying it before its end tells the upstream that nobody wants the answer any more; the
// connection goes on.
class H2Call : private wire::H2Stream {
 public:
  ~H2Call() override;
  H2Call(const H2Call&) = delete;
  H2Call& operator=(const H2Call&) = delete;

  // Begins the request. `head` is the text of an HTTP/1.1 head without the empty line at its end. What `body` refers to
  // must stay until sent(), complete(), error() or drop_body(). `more`: further pieces follow with add().
  // Errors: those of h2_request_head() and of error().
  Result<void> submit(std::string_view head, const net::Pieces& body, bool more);
  // After sent(): the next piece of the body, by the same rules. The last, which may be empty, comes without `more`.
  void add(std::string_view piece, bool more);
  // The connection took everything that was given of the body.
  bool sent() const { return unsent_ == 0; }
  std::size_t unsent() const { return unsent_; }
  // The rest of the body will not come; its bytes may go away.
  void drop_body();

  bool head_done() const { return head_done_; }
  int status() const { return head_.status; }
  const wire::Fields& fields() const { return head_.fields; }
  const wire::Fields& trailers() const { return trailers_; }
  // The answer is there to its end, though not all of it may have been taken.
  bool complete() const { return complete_; }
  bool has_body_bytes() const { return !received_.empty(); }
  // Moves what has come of the answer's body to the end of `to`, and lets the upstream send as much again.
  void take(std::string& to);

  // Why the answer will not become complete.
  const std::optional<Error>& error() const { return error_; }
  // With error(), whether the request may be sent again.
  enum class Repeat {
    no,
    // Refused; or a connection that had served others was closed soon after the request, and nothing at all came in
    // between: probably it was closed for want of use while the request was on its way.
    once,
    // The upstream said goodbye and that it has not begun with this one.
    elsewhere
  };
  Repeat repeat() const { return repeat_; }
  // The connection had begun other calls before this one.
  bool reused() const { return reused_; }

  // Until any of the above changed since the last wait ended. Errors: deadline_exceeded, cancelled.
  rt::Task<Result<void>> changed(base::SteadyTime deadline, rt::Cancellation* cancellation);
  // `notify` runs whenever any of it changes; an empty function forgets an earlier one. It must not destroy the call.
  void on_change(std::function<void()> notify) { notify_ = std::move(notify); }
  // Gives the answer up, which error() then says.
  void cancel();

 private:
  friend class H2Upstream;
  H2Call(std::shared_ptr<H2Upstream> connection, bool reused);
  void on_head(wire::H2Head& head) override;
  void on_data(std::string_view bytes) override;
  void on_trailers(wire::Fields& trailers) override;
  void on_end() override;
  void on_closed(wire::H2Error error) override;
  wire::H2Data take_data(std::span<char> room) override;
  // Ends the stream from our side, with the error that its call sees.
  void give_up(Error error);
  void reset();
  void connection_lost(const Error& why);
  bool crossed_the_close(const Error& why) const;
  void leave();
  void tell();

  std::shared_ptr<H2Upstream> connection_;
  std::int32_t id_ = 0;  // 0: not begun
  bool open_ = true;     // counted by the connection
  bool reused_;
  base::SteadyTime submitted_at_;
  std::uint64_t reads_before_ = 0;  // of the connection, when it was submitted
  // The request's body:
  net::Pieces body_;
  std::size_t piece_ = 0;     // the next piece to go out,
  std::size_t piece_at_ = 0;  // and what of it is gone
  std::size_t unsent_ = 0;
  bool more_ = false;
  // The answer:
  int interim_ = 0;
  bool head_done_ = false;
  bool complete_ = false;
  wire::H2Head head_;
  wire::Fields trailers_;
  std::string received_;
  std::optional<Error> error_;
  Repeat repeat_ = Repeat::no;
  // Who waits:
  bool changed_ = false;
  rt::Wait* waiter_ = nullptr;
  std::function<void()> notify_;
};

// The connection. Owned by the pool and by the calls on it.
class H2Upstream : private wire::H2Owner, public std::enable_shared_from_this<H2Upstream> {
 public:
  // `changed` runs on the loop when there may be room for a call, when there is none any more for good, and at the end.
  H2Upstream(std::unique_ptr<net::Stream> stream, std::shared_ptr<const Origin> origin,
             std::shared_ptr<PoolCounters> counters, std::function<void()> changed);
  ~H2Upstream() override;
  H2Upstream(const H2Upstream&) = delete;
  H2Upstream& operator=(const H2Upstream&) = delete;

  // Begins to read and to write. Once, after it is where it stays.
  void start();
  // One call's stream; only when there is room().
  std::unique_ptr<H2Call> begin();
  // How many more calls it takes now. One until the other side has said how many it allows.
  std::size_t room() const;
  std::size_t streams() const { return calls_; }
  // How many it takes at a time; known once settled().
  std::size_t streams_max() const;
  bool settled() const { return settled_ || ended_; }
  bool used() const { return begun_ > 0; }
  bool ended() const { return ended_; }

  // Takes no more calls, and ends with the last of them.
  void retire();
  // Ends now; forget_owner() first, where the owner goes away.
  void close();
  void forget_owner() { changed_ = nullptr; }

 private:
  friend class H2Call;
  void on_frame(wire::H2FrameType type, bool end_stream, std::size_t length) override;
  void on_goaway(std::int32_t last_stream, wire::H2Error error) override;
  void on_settings() override;
  void on_pong() override { pong_due_ = false; }

  // After anything that may have left something to be sent.
  void schedule();
  void on_turn();
  void read();
  void write();
  void on_watch();
  void left(H2Call& call);
  // `unavailable` is for a connection that the other side, or what is between, closed or reset.
  void end(Error why);
  Error defect() const;
  void count_reset();
  void tell_owner();

  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<const Origin> origin_;
  std::shared_ptr<PoolCounters> counters_;
  std::function<void()> changed_;
  wire::H2Session session_;
  rt::Timer turn_timer_;   // writes, and reads on, before the loop waits
  rt::Timer watch_timer_;  // silence, idleness, settings
  std::vector<H2Call*> open_calls_;
  std::string out_;         // pulled and not yet written
  std::size_t out_at_ = 0;  // of it, gone
  std::size_t calls_ = 0;
  std::uint32_t begun_ = 0;
  std::uint32_t idle_frames_ = 0;  // since the last that carried anything
  base::SteadyTime made_at_;
  base::SteadyTime heard_at_;
  std::uint64_t reads_ = 0;  // that brought bytes
  base::SteadyTime idle_since_;
  std::size_t pings_ = 0;  // since something other than an answer to one came
  base::SteadyTime pinged_at_;
  bool pong_due_ = false;
  bool settled_ = false;
  bool retired_ = false;
  bool said_goodbye_ = false;  // the other side
  bool blocked_ = false;       // the socket has no room
  bool ended_ = false;
};

}  // namespace penstock::http
