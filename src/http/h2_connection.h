// One client connection that speaks HTTP/2: every stream is an exchange with a task of its own. What all of them have
// to say in a turn of the loop goes out together at its end.
#pragma once

#include "http/connection.h"
#include "http/h2_guard.h"
#include "http/server.h"
#include "net/stream.h"
#include "wire/h2_session.h"

namespace penstock::http {

class H2Exchange;

class H2Connection : public Connection, private wire::H2Owner, private rt::TurnEnd {
 public:
  // `early` is what was read from the stream already. All outlive the connection.
  H2Connection(Server& server, net::Stream& stream, const Peer& peer, std::string early);
  ~H2Connection() override;

  rt::Task<void> run() override;
  // GOAWAY; the connection ends by itself when its last stream does.
  void leave() override;
  void close_idle() override {}
  void give_up() override;
  bool leaving() const { return leaving_; }

  // --- for exchanges ---
  Server& server() { return server_; }
  wire::H2Session& session() { return session_; }
  rt::Loop& loop() { return stream_.loop(); }
  const Peer& peer() const { return peer_; }
  // What the session has to say goes out at the end of this turn.
  void flush_soon();
  // Looks at its deadlines no later than then.
  void watch(base::SteadyTime when);

 private:
  void on_request(std::int32_t stream, wire::H2Head& head) override;
  void on_frame(wire::H2FrameType type, bool end_stream, std::size_t length) override;
  void on_sent(wire::H2FrameType type) override { guard_.on_sent(type); }
  void on_forced_reset(std::int32_t stream) override;
  void on_pong() override;
  void on_turn_end() override;

  rt::Task<void> serve(std::int32_t stream, wire::H2Head head);
  rt::Task<bool> read_all();
  rt::Task<void> write_all();
  rt::Task<void> linger();
  bool feed(std::string_view bytes);
  void cut_off(std::string_view what);
  void tell_abuse(std::string_view what);
  void last_call();
  void on_timer();

  // co_await: until on_turn_end(), or at once when the session has something to send.
  struct Turn;

  Server& server_;
  net::Stream& stream_;
  const Peer& peer_;
  std::string early_;
  wire::H2Session session_;
  H2Guard guard_;
  rt::TaskScope scope_;  // the writer and the exchanges
  std::unordered_set<H2Exchange*> exchanges_;
  std::string out_;                 // being written
  rt::Event written_;               // the reader waits for it when too much is waiting to be written
  std::coroutine_handle<> writer_;  // waits for something to write
  rt::Timer timer_;
  base::SteadyTime idle_since_;                              // of exchanges
  base::SteadyTime midway_since_ = base::SteadyTime::max();  // a frame or head began and did not end
  base::SteadyTime last_call_at_ = base::SteadyTime::max();  // the second GOAWAY of a drain
  bool flushing_ = false;                                    // told the loop to call at the end of the turn
  bool leaving_ = false;
  bool abuse_told_ = false;
  bool stopped_ = false;  // nothing is written any more
};

}  // namespace penstock::http
