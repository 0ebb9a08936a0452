// One client connection that speaks HTTP/1: reads requests, runs the handler for each, in order.
#pragma once

#include "http/connection.h"
#include "http/server.h"
#include "net/stream.h"

namespace penstock::http {

class ServerConnection : public Connection, public Exchange {
 public:
  // `early` is what was read from the stream already. All outlive the connection.
  ServerConnection(Server& server, net::Stream& stream, const Peer& peer, const ListenerOptions& listener,
                   std::string early);
  ~ServerConnection() override { hold_input(0); }

  rt::Task<void> run() override;
  // Instead of run(), after a TLS handshake that failed.
  rt::Task<void> refuse_handshake(Error error);
  void leave() override {
    if (notify_drain_) std::exchange(notify_drain_, nullptr)();
  }
  void close_idle() override {
    if (idle_)
      stream_.cut();
    else
      over_ = true;
  }
  void give_up() override { stream_.give_up(); }
  // The next answer tells the client that it is the last.
  bool leaving() const {
    return server_.draining_ || (listener_.removed && listener_.removed->load(std::memory_order_relaxed));
  }

  const Request& request() const override { return request_; }
  const Peer& peer() const override { return peer_; }
  rt::Loop& loop() override { return stream_.loop(); }
  base::SteadyTime started() const override { return started_; }
  rt::Task<Result<std::string_view>> read_body(std::uint64_t bytes_max) override;
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) override;
  const Fields& trailers() const override { return parser_.trailers(); }
  void trailer(std::string_view name, std::string_view value) override;
  void stop_reading() override {
    reading_stopped_ = true;
    stream_.cancel_read();
  }
  rt::Task<Result<void>> respond(ResponseHead head, std::string_view body) override;
  void begin(ResponseHead head) override;
  void append(std::string_view bytes) override;
  rt::Task<Result<void>> write(std::string_view bytes) override;
  rt::Task<Result<void>> flush() override;
  rt::Task<Result<void>> finish() override;
  void abort() override;
  bool begun() const override { return begun_; }
  bool can_upgrade() const override { return parser_.head().version_minor == 1; }
  rt::Task<Result<Upgraded>> upgrade(ResponseHead head) override;
  std::uint64_t bytes_sent() const override { return bytes_sent_; }
  bool draining() const override { return leaving(); }
  void on_drain(std::function<void()> notify) override { notify_drain_ = std::move(notify); }
  bool client_gone() const override { return stream_.hung_up() || stream_.closed(); }
  void on_client_gone(std::function<void()> notify) override { stream_.on_hang_up(std::move(notify)); }

 private:
  rt::Task<Result<void>> greet();
  rt::Task<bool> read_head();
  void read_target();
  rt::Task<bool> serve_one();
  rt::Task<bool> discard_body();
  rt::Task<Result<void>> fill(base::SteadyTime deadline);
  Result<bool> take_available();
  bool feed(std::string_view& bytes);
  rt::Task<Result<std::string_view>> read_rest(bool whole);
  Result<void> fits(std::uint64_t bytes_max);
  base::SteadyTime body_deadline();
  void hold_input(std::size_t bytes);
  bool take_room();
  rt::Task<Result<void>> send(net::Stream::Write write, bool last);
  rt::Task<Result<void>> send_slowly(net::Stream::Write write, bool last);
  rt::Task<void> refuse(int status, std::string detail);
  rt::Task<void> linger();
  void start_request();
  void write_head(const ResponseHead& head);
  bool keep_alive() const;
  bool body_left_is_large() const;

  Server& server_;
  const Peer& peer_;
  const ListenerOptions& listener_;
  net::Stream& stream_;
  wire::Http1Parser parser_;
  std::string input_;  // bytes received and not yet used: the next request, or nothing
  std::string body_;
  std::string trailers_;  // lines that go out behind the last chunk
  std::string out_;       // what goes out next: a head, chunks, framing
  Request request_;
  base::SteadyTime started_{};
  std::function<void()> notify_drain_;
  int status_ = 0;          // of the answer, once it has begun
  int refused_status_ = 0;  // the request broke a rule: answer this and close
  std::string refused_detail_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;  // of this request
  base::Duration body_waited_{};      // for its body
  std::size_t held_ = 0;              // bytes of input that the burden of all connections knows of
  bool idle_ = true;
  bool over_ = false;  // no request is taken after the one under way
  bool begun_ = false;
  bool chunked_ = false;
  bool bodiless_ = false;  // of an answer in pieces: HEAD, 204 and 304 end with their head
  bool finished_ = false;
  bool continue_sent_ = false;
  bool piece_given_ = false;  // what is in body_ was given out by read_piece()
  bool reading_stopped_ = false;
  bool close_after_ = false;
};

}  // namespace penstock::http
