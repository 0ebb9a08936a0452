#include "ext/apis/openai/realtime_relay.h"

#include "json/integers.h"
#include "json/peek.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

namespace code = wire::close_code;

// How long a revoked key may go on when nobody says anything.
constexpr auto kLookEvery = std::chrono::seconds(2);

// 10^12: beyond any context, and safe to add up.
constexpr std::int64_t kTokensMax = 1'000'000'000'000;

// What may be said again on the other side.
std::uint16_t passed_on(std::uint16_t given) {
  return given == code::kNone || given == code::kCut ? code::kNormal : given;
}

std::string_view type_of(Errc what) {
  switch (what) {
    case Errc::unauthenticated: return "authentication_error";
    case Errc::permission_denied: return "permission_error";
    case Errc::resource_exhausted: return "rate_limit_error";
    case Errc::invalid_argument: return "invalid_request_error";
    default: return "server_error";
  }
}

std::string_view code_of(Errc what) {
  switch (what) {
    case Errc::unauthenticated: return "invalid_api_key";
    case Errc::permission_denied: return "model_not_allowed";
    case Errc::resource_exhausted: return "rate_limit_exceeded";
    case Errc::deadline_exceeded: return "timeout";
    default: return "provider_error";
  }
}

}  // namespace

std::optional<RealtimeUsage> realtime_usage(std::string_view event) {
  if (!json::may_hold(event, "usage")) return std::nullopt;
  constexpr std::array<std::string_view, 1> kType{"type"};
  auto peeked = json::peek(event, kType);
  if (!peeked) return std::nullopt;
  std::string_view type = peeked->fields[0].string;
  bool response = type == "response.done";
  if (!response && !type.ends_with("input_audio_transcription.completed")) return std::nullopt;
  auto at = [&](std::string_view a, std::string_view b = {}) {
    return response ? json::IntegerAt{.path = {"response", "usage", a, b}} : json::IntegerAt{.path = {"usage", a, b}};
  };
  std::array<json::IntegerAt, 5> counts{
      at("input_tokens"), at("output_tokens"), at("input_token_details", "cached_tokens"),
      at("input_token_details", "audio_tokens"), at("output_token_details", "audio_tokens")};
  if (auto read = json::read_integers(event, counts); !read || !counts[0].parent) return std::nullopt;
  return RealtimeUsage{counts[0].up_to(kTokensMax), counts[1].up_to(kTokensMax), counts[2].up_to(kTokensMax),
                       counts[3].up_to(kTokensMax), counts[4].up_to(kTokensMax)};
}

std::string realtime_error(const Error& error) {
  std::string event =
      fmt::format(R"({{"type":"error","event_id":"event_{}","error":{{"type":"{}","code":"{}","message":)",
                  base::random_token(12), type_of(error.code), code_of(error.code));
  json::append_quoted(event, error.detail);
  return event + R"(,"param":null,"event_id":null}})";
}

RealtimeRelay::RealtimeRelay(flow::Call& call, flow::WebSocketSession& session, http::WebSocket& provider,
                             llm::PassThrough& passage)
    : call_(call),
      session_(session),
      provider_(provider),
      passage_(passage),
      scope_(call.exchange.loop()),
      timer_(call.exchange.loop()) {}

rt::Task<void> RealtimeRelay::run() {
  timer_.arm_in(kLookEvery, [this] { look(); });
  scope_.spawn(to_provider());
  scope_.spawn(to_caller());
  co_await scope_.idle();
  timer_.cancel();
  if (ending_->type != obs::ErrorType::none) {
    call_.event.error_type = ending_->type;
    call_.event.error.assign(ending_->told ? ending_->told->detail : ending_->reason);
  }
  scope_.spawn(close_provider(ending_->provider_code));
  if (ending_->told) {
    std::string event = realtime_error(*ending_->told);
    (void)co_await session_.socket().send(true, event);
  }
  co_await session_.close(ending_->caller_code, ending_->reason);
  co_await scope_.idle();
}

rt::Task<void> RealtimeRelay::close_provider(std::uint16_t close_code) { co_await provider_.close(close_code, ""); }

void RealtimeRelay::end(Ending ending) {
  if (ending_) return;
  ending_ = std::move(ending);
  session_.socket().interrupt({Errc::cancelled, "the conversation is over"});
  provider_.interrupt({Errc::cancelled, "the conversation is over"});
}

void RealtimeRelay::end_by_policy(Error error) {
  obs::ErrorType type = flow::error_type_of(error.code);
  std::string reason = error.detail;
  end({code::kPolicy, code::kNormal, std::move(reason), std::move(error), type});
}

// Why nothing more can be had from, or said to, the caller.
void RealtimeRelay::end_for_caller(const Error& error) {
  switch (error.code) {
    case Errc::unavailable:
      // Drained, unless it was the connection.
      return end({code::kGoingAway, code::kGoingAway, error.detail, std::nullopt, obs::ErrorType::none});
    case Errc::deadline_exceeded:
      return end({code::kGoingAway, code::kNormal, error.detail, std::nullopt, obs::ErrorType::caller_timeout});
    case Errc::protocol_error:
      return end({code::kProtocolError, code::kNormal, error.detail, std::nullopt, obs::ErrorType::caller_bad_request});
    default:
      return end({code::kGoingAway, code::kNormal, error.detail, std::nullopt, obs::ErrorType::caller_cancelled});
  }
}

void RealtimeRelay::end_for_provider(const Error& error) {
  if (error.code == Errc::cancelled) return end({});
  auto type = error.code == Errc::deadline_exceeded ? obs::ErrorType::provider_timeout
              : error.code == Errc::protocol_error  ? obs::ErrorType::provider_malformed
                                                    : obs::ErrorType::provider_cut;
  if (!ending_) llm::note_broken(passage_.target(), error, call_.exchange.loop().now());
  Error told{error.code == Errc::deadline_exceeded ? Errc::deadline_exceeded : Errc::data_loss,
             fmt::format("the provider {} broke the connection off: {}", passage_.target().label.view(), error.detail)};
  end({code::kInternal, code::kGoingAway, "the provider broke the connection off", std::move(told), type});
}

void RealtimeRelay::look() {
  session_.tally();
  if (auto fine = flow::reaffirm(call_); !fine) return end_by_policy(fine.error());
  timer_.arm_in(kLookEvery, [this] { look(); });
}

rt::Task<void> RealtimeRelay::to_provider() {
  http::WebSocket& caller = session_.socket();
  while (true) {
    auto message = co_await caller.receive();
    if (!message) co_return end_for_caller(message.error());
    if (!*message) {
      std::uint16_t given = passed_on(caller.close_code());
      co_return end({given, given, caller.close_reason(), std::nullopt, obs::ErrorType::none});
    }
    if (auto fine = flow::reaffirm(call_); !fine) co_return end_by_policy(fine.error());
    session_.tally();
    auto sent = co_await provider_.send((*message)->text, (*message)->data);
    // What the provider said last is on its way to the caller, and says more than that it does not listen.
    if (!sent && sent.error().code != Errc::cancelled) co_return end_for_provider(sent.error());
  }
}

rt::Task<void> RealtimeRelay::to_caller() {
  while (true) {
    auto message = co_await provider_.receive();
    if (!message) co_return end_for_provider(message.error());
    if (!*message) {
      std::uint16_t given = passed_on(provider_.close_code());
      co_return end({given, given, provider_.close_reason(), std::nullopt, obs::ErrorType::none});
    }
    Result<void> within;
    if ((*message)->text) within = account((*message)->data);
    auto sent = co_await session_.socket().send((*message)->text, (*message)->data);
    if (!sent) co_return end_for_caller({Errc::cancelled, sent.error().detail});
    session_.tally();
    if (!within) co_return end_by_policy(within.error());
  }
}

Result<void> RealtimeRelay::account(std::string_view event) {
  auto used = realtime_usage(event);
  if (!used) return {};
  llm::Usage usage{.known = true,
                   .input = used->input,
                   .output = used->output,
                   .cached = used->cached,
                   .audio_input = used->audio_input,
                   .audio_output = used->audio_output};
  passage_.bill({.usage = usage});
  session_.count_audio(used->audio_input, used->audio_output);
  return flow::charge(call_);
}

}  // namespace penstock::ext
