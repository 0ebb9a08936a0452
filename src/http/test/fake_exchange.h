// An exchange without a socket: the request is what the test says, the answer is kept for it to look at.
#pragma once

#include "http/exchange.h"

namespace penstock::http {

class FakeExchange : public Exchange {
 public:
  explicit FakeExchange(rt::Loop& loop, std::string method = "POST", std::string target = "/", std::string body = {})
      : loop_(loop),
        method_(std::move(method)),
        target_(std::move(target)),
        body_(std::move(body)),
        started_(loop.now()) {
    std::string_view whole = target_;
    std::size_t mark = whole.find('?');
    request_ = {method_, whole.substr(0, mark),
                mark == std::string_view::npos ? std::string_view() : whole.substr(mark + 1), &fields_};
  }

  void field(std::string_view name, std::string_view value) { fields_.add(name, value); }
  void from(Peer peer) { peer_ = std::move(peer); }
  // A field behind the request's body.
  void trailing_field(std::string_view name, std::string_view value) { trailers_.add(name, value); }
  // The client closes its connection.
  void leave() {
    gone_ = true;
    if (notify_) std::exchange(notify_, nullptr)();
  }
  // The client leaves while the answer's `count`-th piece is on its way to it.
  void leave_at_write(std::size_t count) { leave_at_write_ = count; }

  // --- the answer so far ---
  int status() const { return head_ ? head_->status() : 0; }
  // The value of a field of the answer; empty when there is none.
  std::string answer_field(std::string_view name) const {
    std::string_view lines = head_ ? std::string_view(head_->lines()) : std::string_view();
    while (!lines.empty()) {
      std::string_view line = lines.substr(0, lines.find("\r\n"));
      lines.remove_prefix(line.size() + 2);
      std::size_t colon = line.find(": ");
      if (wire::equal_ignoring_case(line.substr(0, colon), name)) return std::string(line.substr(colon + 2));
    }
    return {};
  }
  const std::string& answer() const { return answer_; }
  const Fields& answer_trailers() const { return answer_trailers_; }
  const std::vector<std::string>& writes() const { return writes_; }
  bool finished() const { return finished_; }
  bool aborted() const { return aborted_; }
  bool watched() const { return static_cast<bool>(notify_); }

  const Request& request() const override { return request_; }
  const Peer& peer() const override { return peer_; }
  rt::Loop& loop() override { return loop_; }
  base::SteadyTime started() const override { return started_; }
  rt::Task<Result<std::string_view>> read_body(std::uint64_t bytes_max) override {
    if (gone_) co_return fail(Errc::cancelled, "the client closed the connection");
    if (body_.size() > bytes_max) co_return fail(Errc::out_of_range, "the body is too large");
    co_return std::string_view(body_);
  }
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) override {
    if (gone_) co_return fail(Errc::cancelled, "the client closed the connection");
    if (body_.size() > bytes_max) co_return fail(Errc::out_of_range, "the body is too large");
    std::string_view piece = std::string_view(body_).substr(piece_at_, piece_bytes_);
    piece_at_ += piece.size();
    co_return piece;
  }
  // How large the pieces of read_piece() are.
  void cut_body_into(std::size_t bytes) { piece_bytes_ = bytes; }
  void stop_reading() override {}
  const Fields& trailers() const override { return trailers_; }
  void trailer(std::string_view name, std::string_view value) override { answer_trailers_.add(name, value); }
  rt::Task<Result<void>> respond(ResponseHead head, std::string_view body) override {
    head_ = std::move(head);
    begun_ = true;
    answer_ = body;
    finished_ = true;
    co_return Result<void>{};
  }
  void begin(ResponseHead head) override {
    head_ = std::move(head);
    begun_ = true;
  }
  void append(std::string_view bytes) override { appended_.emplace_back(bytes); }
  rt::Task<Result<void>> flush() override {
    for (std::string& bytes : std::exchange(appended_, {})) {
      if (writes_.size() + 1 == leave_at_write_) leave();
      if (gone_) co_return fail(Errc::cancelled, "the client closed the connection");
      answer_ += bytes;
      writes_.push_back(std::move(bytes));
    }
    co_return Result<void>{};
  }
  rt::Task<Result<void>> write(std::string_view bytes) override {
    append(bytes);
    return flush();
  }
  rt::Task<Result<void>> finish() override {
    auto sent = co_await flush();
    finished_ = sent.has_value();
    co_return sent;
  }
  void abort() override {
    begun_ = true;
    aborted_ = true;
  }
  bool begun() const override { return begun_; }
  std::uint64_t bytes_sent() const override { return answer_.size(); }
  bool draining() const override { return false; }
  bool client_gone() const override { return gone_; }
  void on_client_gone(std::function<void()> notify) override { notify_ = std::move(notify); }

 private:
  rt::Loop& loop_;
  std::string method_;
  std::string target_;
  std::string body_;
  Fields fields_;
  Fields trailers_;
  Fields answer_trailers_;
  Peer peer_;
  Request request_;
  base::SteadyTime started_;
  std::optional<ResponseHead> head_;
  std::string answer_;
  std::vector<std::string> writes_;
  std::vector<std::string> appended_;
  std::function<void()> notify_;
  std::size_t leave_at_write_ = 0;
  std::size_t piece_at_ = 0;
  std::size_t piece_bytes_ = 64 * 1024;
  bool begun_ = false;
  bool finished_ = false;
  bool aborted_ = false;
  bool gone_ = false;
};

}  // namespace penstock::http
