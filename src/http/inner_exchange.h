// An exchange the gateway has with itself: a request made in memory, its answer kept whole. What a pipeline asks a
// language model goes the way of any client's call, through every filter and into the ledger, without a connection.
#pragma once

#include <optional>

#include "http/exchange.h"

namespace penstock::http {

// Lives on `loop`, as long as the handler that works on it.
class InnerExchange : public Exchange {
 public:
  InnerExchange(rt::Loop& loop, std::string method, std::string target, std::string body);

  // Before the handler is run.
  void field(std::string_view name, std::string_view value) { fields_.add(name, value); }
  // Nobody waits for the answer any more.
  void leave();

  // 0: there was none.
  int status() const { return status_; }
  const std::string& answer() const { return answer_; }
  // The whole answer is there.
  bool finished() const { return finished_; }

  const Request& request() const override { return request_; }
  const Peer& peer() const override { return peer_; }
  rt::Loop& loop() override { return loop_; }
  base::SteadyTime started() const override { return started_; }
  rt::Task<Result<std::string_view>> read_body(std::uint64_t bytes_max) override;
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) override;
  const Fields& trailers() const override { return trailers_; }
  void stop_reading() override {}
  rt::Task<Result<void>> respond(ResponseHead head, std::string_view body) override;
  void begin(ResponseHead head) override;
  void append(std::string_view bytes) override { answer_ += bytes; }
  rt::Task<Result<void>> write(std::string_view bytes) override;
  rt::Task<Result<void>> flush() override;
  rt::Task<Result<void>> finish() override;
  void trailer(std::string_view, std::string_view) override {}
  void abort() override { begun_ = true; }
  bool begun() const override { return begun_; }
  std::uint64_t bytes_sent() const override { return answer_.size(); }
  bool draining() const override { return false; }
  bool client_gone() const override { return gone_; }
  void on_client_gone(std::function<void()> notify) override { notify_ = std::move(notify); }

 private:
  rt::Loop& loop_;
  const std::string method_;
  const std::string target_;
  const std::string body_;
  Fields fields_;
  Fields trailers_;
  Peer peer_;
  Request request_;
  base::SteadyTime started_;
  std::function<void()> notify_;
  std::string answer_;
  int status_ = 0;
  bool body_read_ = false;
  bool begun_ = false;
  bool finished_ = false;
  bool gone_ = false;
};

}  // namespace penstock::http
