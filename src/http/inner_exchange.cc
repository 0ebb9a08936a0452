#include "http/inner_exchange.h"

namespace penstock::http {
namespace {

Result<void> left() { return fail(Errc::cancelled, "nobody waits for the answer any more"); }

}  // namespace

InnerExchange::InnerExchange(rt::Loop& loop, std::string method, std::string target, std::string body)
    : loop_(loop),
      method_(std::move(method)),
      target_(std::move(target)),
      body_(std::move(body)),
      request_{method_, target_, {}, &fields_},
      started_(loop.now()) {}

void InnerExchange::leave() {
  gone_ = true;
  if (auto notify = std::exchange(notify_, nullptr)) notify();
}

rt::Task<Result<std::string_view>> InnerExchange::read_body(std::uint64_t bytes_max) {
  if (gone_) co_return std::unexpected(left().error());
  if (body_.size() > bytes_max) co_return fail(Errc::out_of_range, "the body is too large");
  body_read_ = true;
  co_return std::string_view(body_);
}

rt::Task<Result<std::string_view>> InnerExchange::read_piece(std::uint64_t bytes_max) {
  if (body_read_) co_return std::string_view();
  co_return co_await read_body(bytes_max);
}

rt::Task<Result<void>> InnerExchange::respond(ResponseHead head, std::string_view body) {
  begin(std::move(head));
  answer_ = body;
  return finish();
}

void InnerExchange::begin(ResponseHead head) {
  begun_ = true;
  status_ = head.status();
}

rt::Task<Result<void>> InnerExchange::write(std::string_view bytes) {
  append(bytes);
  return flush();
}

rt::Task<Result<void>> InnerExchange::flush() { return rt::Task<Result<void>>::ready(gone_ ? left() : Result<void>{}); }

rt::Task<Result<void>> InnerExchange::finish() {
  finished_ = !gone_;
  return flush();
}

}  // namespace penstock::http
