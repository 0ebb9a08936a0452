#include "ext/apis/openai/realtime_api.h"

#include "ext/apis/openai/realtime_relay.h"
#include "flow/filter.h"
#include "llm/form_model.h"
#include "llm/pass_through.h"
#include "llm/report.h"

namespace penstock::ext {
namespace {

constexpr std::string_view kRealtime = "realtime";

// What the provider is told of the caller's subprotocols: not the key, nor whose account it belongs to.
std::string protocols_for_provider(const http::WebSocketOffer& offer) {
  std::string list;
  for (std::string_view protocol : offer.protocols) {
    if (protocol != kRealtime && !protocol.starts_with("openai-beta.")) continue;
    list += list.empty() ? "" : ", ";
    list += protocol;
  }
  return list;
}

// The one to answer with. Browsers give up when none of those they offered is chosen.
std::string protocol_for_caller(const http::WebSocketOffer& offer, std::string_view chosen) {
  if (!chosen.empty() && offer.offers(chosen)) return std::string(chosen);
  return std::string(offer.offers(kRealtime) ? kRealtime : std::string_view());
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// The caller's query for the provider: with its name of the model, and without the caller's key.
std::string query_for(std::string_view query, std::string_view model) {
  std::string out = "?model=" + percent_encoded(model);
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    std::string name = http::percent_decode(pair.substr(0, pair.find('=')));
    if (pair.empty() || name == "model" || name == "key") continue;
    out += '&';
    out += pair;
  }
  return out;
}

}  // namespace

rt::Task<void> RealtimeApi::serve(flow::Call& call) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return;
  }
  auto offer = co_await flow::read_websocket_offer(call);
  if (!offer) co_return;
  const http::Request& request = call.exchange.request();
  call.model = http::query_value(request.query, "model");
  if (call.model.empty() || !llm::is_model_name(call.model)) {
    call.model.clear();
    Error error{Errc::invalid_argument, "the query must name the model: /v1/realtime?model=NAME"};
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  auto route = co_await relay_->route_for(call, {.needs = {flow::Capability::chat, flow::Capability::tools}});
  if (!route) co_return;
  auto place = flow::WebSocketPlace::take(call);
  if (!place) {
    co_await flow::refuse(call, place.error());
    co_return;
  }
  http::WebSocketOptions options = call.policy->websocket().options;
  http::WebSocketRequest asked(protocols_for_provider(*offer), options);
  std::string lines = asked.lines();
  if (std::string_view beta = request.field("openai-beta"); !beta.empty())
    lines += fmt::format("openai-beta: {}\r\n", beta);
  llm::PassThrough passage(lane_.pool(static_cast<std::size_t>(call.exchange.loop().index())), call, route,
                           {.method = "GET",
                            .path = {},
                            .content_type = {},
                            .accept = {},
                            .has_body = false,
                            .body_bytes = {},
                            .lines = lines});
  call.exchange.on_client_gone([&passage] { passage.cancel(); });
  auto path_for = [query = request.query](std::string_view model) { return "/realtime" + query_for(query, model); };
  auto outcome = co_await passage.upgrade(path_for);
  call.exchange.on_client_gone({});
  if (!outcome && call.exchange.client_gone()) {
    call.event.status = 499;
    call.event.error_type = obs::ErrorType::caller_cancelled;
    co_return;
  }
  std::string protocol;
  if (outcome) protocol = protocol_for_caller(*offer, http::chosen_protocol(passage.answer()));
  auto provider = outcome ? http::open_websocket(passage.answer(), asked)
                          : Result<std::unique_ptr<http::WebSocket>>(fail(Errc::unavailable, ""));
  if (outcome && !provider) {
    outcome = std::unexpected(llm::target_failure(passage.target(), obs::ErrorType::provider_malformed,
                                                  Errc::protocol_error, provider.error().detail));
  }
  if (!outcome) {
    co_await llm::report(call, std::move(outcome.error()));
    co_return;
  }
  auto session = co_await flow::WebSocketSession::accept(call, std::move(*offer), std::move(protocol));
  if (!session) co_return;
  RealtimeRelay relay(call, **session, **provider, passage);
  co_await relay.run();
}

}  // namespace penstock::ext
