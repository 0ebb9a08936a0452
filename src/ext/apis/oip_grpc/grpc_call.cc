#include "ext/apis/oip_grpc/grpc_call.h"

#include "flow/dialect.h"

namespace penstock::ext {

using http::GrpcStatus;

rt::Task<bool> GrpcCall::open(bool keyed) {
  if (auto unfit = grpc_.unfit()) {
    Error error{Errc::invalid_argument, unfit->detail};
    co_await flow::refuse(call_, std::move(error), obs::ErrorType::none, unfit->status);
    co_return false;
  }
  auto opened = grpc_.open();
  if (opened && keyed) opened = flow::identify(call_);
  if (!opened) co_await refuse(opened.error());
  co_return opened.has_value();
}

// HTTP's status is 200 whatever happens: what is logged and counted is what the call came to.
void GrpcCall::note(const Error& error) {
  call_.event.status = static_cast<std::uint16_t>(call_.dialect.status(error));
  call_.event.error_type =
      error.source == flow::kBudgetSource ? obs::ErrorType::policy_budget : flow::error_type_of(error.code);
  call_.event.error.assign(error.detail);
}

rt::Task<void> GrpcCall::refuse(Error error) {
  if (call_.exchange.client_gone()) co_return;
  note(error);
  http::ResponseHead head = grpc_.head();
  if (call_.retry_after) {
    auto millis = std::chrono::ceil<std::chrono::milliseconds>(*call_.retry_after).count();
    head.add("retry-after", std::max<std::int64_t>(1, (millis + 999) / 1000));
    // https://github.com/grpc/proposal/blob/master/A6-client-retries.md ("Pushback")
    head.add("grpc-retry-pushback-ms", std::max<std::int64_t>(1, millis));
  }
  flow::add_common_fields(call_, head);
  auto sent = co_await grpc_.refuse(std::move(head), http::grpc_status(error.code), error.detail);
}

rt::Task<void> GrpcCall::answer(Result<std::string> message) {
  if (!message) {
    co_await refuse(message.error());
    co_return;
  }
  infer::oip::Message whole{std::move(*message), {}};
  co_await answer(whole);
}

rt::Task<void> GrpcCall::answer(const infer::oip::Message& message) {
  begin();
  std::vector<std::string_view> pieces = message.pieces();
  auto sent = co_await grpc_.write(pieces);
  if (sent) {
    co_await finish();
  } else {
    co_await finish(sent.error());
  }
}

void GrpcCall::begin() {
  call_.event.status = 200;
  http::ResponseHead head = grpc_.head();
  flow::add_common_fields(call_, head);
  grpc_.begin(std::move(head));
}

rt::Task<void> GrpcCall::finish() { auto sent = co_await grpc_.finish(GrpcStatus::ok); }

rt::Task<void> GrpcCall::finish(Error error) {
  note(error);
  auto sent = co_await grpc_.finish(http::grpc_status(error.code), error.detail);
}

}  // namespace penstock::ext
