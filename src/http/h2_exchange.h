// One stream of an HTTP/2 connection as an exchange. What the client sends waits here, at most a stream's window of it,
// until a handler takes it: only then the client may send more. What the handler sends waits here until the client's
// window and the connection take it, and the handler waits with it.
#pragma once

#include "http/exchange.h"
#include "http/h2_connection.h"
#include "rt/await.h"

namespace penstock::http {

class H2Exchange : public Exchange, public wire::H2Stream {
 public:
  H2Exchange(H2Connection& connection, std::int32_t id, wire::H2Head head);
  ~H2Exchange() override { hold(0); }

  // The handler, and what a handler left undone.
  rt::Task<void> run();
  // Nobody waits for the rest of the answer.
  void give_up() {
    if (auto notify = std::exchange(notify_gone_, nullptr)) notify();
  }
  // The connection takes no new streams.
  void drain() {
    if (auto notify = std::exchange(notify_drain_, nullptr)) notify();
  }
  // The connection is gone.
  void lose();
  // Ends what has waited too long; the next time to look, or max().
  base::SteadyTime expire(base::SteadyTime now);

  const Request& request() const override { return request_; }
  const Peer& peer() const override { return connection_.peer(); }
  rt::Loop& loop() override { return connection_.loop(); }
  base::SteadyTime started() const override { return started_; }
  rt::Task<Result<std::string_view>> read_body(std::uint64_t bytes_max) override;
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) override;
  const Fields& trailers() const override { return trailers_; }
  void stop_reading() override;
  rt::Task<Result<void>> respond(ResponseHead head, std::string_view body) override;
  void begin(ResponseHead head) override;
  void append(std::string_view bytes) override;
  rt::Task<Result<void>> write(std::string_view bytes) override;
  rt::Task<Result<void>> flush() override;
  rt::Task<Result<void>> finish() override;
  void trailer(std::string_view name, std::string_view value) override;
  void abort() override;
  bool begun() const override { return begun_; }
  std::uint64_t bytes_sent() const override { return bytes_sent_; }
  bool draining() const override;
  void on_drain(std::function<void()> notify) override { notify_drain_ = std::move(notify); }
  bool client_gone() const override { return gone_; }
  void on_client_gone(std::function<void()> notify) override { notify_gone_ = std::move(notify); }

 private:
  void on_data(std::string_view bytes) override;
  void on_trailers(Fields& trailers) override { trailers_ = std::move(trailers); }
  void on_end() override;
  void on_closed(wire::H2Error error) override;
  wire::H2Data take_data(std::span<char> room) override;

  Result<void> check_head();
  Result<void> fits(std::uint64_t bytes_max);
  rt::Task<Result<std::string_view>> read_rest(bool whole);
  Result<void> readable() const;
  std::string_view take_piece();
  void give_back();
  void hold(std::size_t bytes);
  void refuse_body(int status, std::string detail);
  base::SteadyTime body_deadline() const;
  void send_head(const ResponseHead& head, bool has_body, std::string_view length);
  rt::Task<Result<void>> taken();
  rt::Task<Result<void>> wait_until_taken();
  bool all_taken() const;
  void leave();
  rt::Task<void> refuse(int status, std::string detail);
  void close_request();

  H2Connection& connection_;
  const std::int32_t id_;
  wire::H2Head head_;
  Request request_;
  base::SteadyTime started_;
  int status_ = 0;          // of the answer, once it has begun
  int refused_status_ = 0;  // the request broke a rule
  std::string refused_detail_;

  std::string body_;   // received and not yet given out
  std::string piece_;  // given out by read_piece()
  std::uint64_t received_ = 0;
  std::uint64_t body_bytes_max_;
  std::uint64_t declared_ = 0;  // by content-length
  std::size_t held_ = 0;        // of body_, not yet given back to the windows
  std::size_t burden_ = 0;      // bytes that the burden of all connections knows of
  base::Duration body_waited_{};
  Fields trailers_;
  rt::Event input_;  // for the reader: something changed
  base::SteadyTime read_deadline_ = base::SteadyTime::max();

  std::string pending_;  // to be sent, from pending_at_ on
  std::size_t pending_at_ = 0;
  std::string_view large_;  // behind it, from where the handler has it
  std::string trailer_lines_;
  std::vector<wire::H2Field> trailer_fields_;
  std::uint64_t bytes_sent_ = 0;
  rt::Event output_;  // for the writer: everything was taken, or never will be
  base::SteadyTime write_deadline_ = base::SteadyTime::max();
  base::SteadyTime write_latest_ = base::SteadyTime::max();  // however evenly it drips
  std::function<void()> notify_gone_;
  std::function<void()> notify_drain_;

  bool conversation_ = false;  // the body goes on for as long as both sides like
  bool whole_ = false;         // somebody wants all of the body: the client need not wait for it to be taken
  bool ended_ = false;         // the client has sent everything
  bool reading_stopped_ = false;
  bool continued_ = false;  // told to go on, or did not wait for that
  bool begun_ = false;
  bool bodiless_ = false;
  bool no_data_ = false;    // the head is all of the answer
  bool finishing_ = false;  // what is to be sent is complete
  bool finished_ = false;   // and was taken
  bool gone_ = false;       // the client gave up before that
  bool closed_ = false;     // nothing comes or goes on the stream any more
  bool stalled_ = false;    // it took nothing for too long
};

}  // namespace penstock::http
