#include "ext/apis/ingest/ingest_api.h"

#include "base/quantity.h"
#include "flow/device_caller.h"
#include "json/value.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

// 8 MiB: tens of thousands of readings; more belongs into several requests.
constexpr std::uint64_t kBodyBytesMax = 8U << 20;
// A comment keeps proxies and clients from giving up on a quiet pipeline.
constexpr int kKeepAliveTicks = 15;
constexpr auto kTick = std::chrono::seconds(1);
// Events waiting for a watcher that reads slowly; the oldest are dropped, and the watcher is told how many.
constexpr std::size_t kWaitingMax = ingest::EventHub::kQueueMax;

}  // namespace

rt::Task<void> IngestApi::accept(flow::Call& call, std::string source) const {
  call.needs.add(flow::Capability::ingest);
  auto body = co_await flow::identify_and_read(call, kBodyBytesMax);
  if (!body) co_return;
  auto admitted = co_await flow::admit(call);
  if (!admitted) {
    co_await flow::refuse(call, admitted.error());
    co_return;
  }
  std::string type(call.exchange.request().field(wire::FieldId::content_type));
  std::string bytes(*body);
  auto taken = co_await take(call, std::move(source), std::move(type), std::move(bytes));
  if (!taken) {
    co_await flow::refuse(call, taken.error());
    co_return;
  }
  co_await flow::respond_json(call, 202, fmt::format(R"({{"accepted":{}}})", *taken));
}

// On the source's core and back.
rt::Task<Result<std::size_t>> IngestApi::take(flow::Call& call, std::string source, std::string type,
                                              std::string bytes) const {
  std::string device(flow::device_of(call.key));
  if (devices_ != nullptr && !device.empty()) {
    if (auto may = devices_->check(device); !may) co_return std::unexpected(may.error());
  }
  std::function<void(std::function<void(Result<std::size_t>)>)> start =
      [&](std::function<void(Result<std::size_t>)> done) {
        lane_.accept(source, std::move(type), std::move(bytes), call.exchange.loop(), std::move(done), device);
      };
  rt::Callback<Result<std::size_t>> taking(call.exchange.loop(), std::move(start));
  auto taken = co_await taking;
  bool malformed =
      !taken && (taken.error().code == Errc::invalid_argument || taken.error().code == Errc::protocol_error ||
                 taken.error().code == Errc::permission_denied);
  if (malformed && devices_ != nullptr && !device.empty()) devices_->note_malformed(device);
  co_return taken;
}

rt::Task<void> IngestApi::socket(flow::Call& call, std::string source) const {
  call.needs.add(flow::Capability::ingest);
  Result<void> passed = flow::identify(call);
  if (passed) passed = co_await flow::admit(call);
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return;
  }
  auto offer = co_await flow::read_websocket_offer(call);
  if (!offer) co_return;
  std::vector<std::string> names;
  for (const auto& known : lane_.sources()) names.push_back(known.name);
  if (std::find(names.begin(), names.end(), source) == names.end()) {
    auto hint = base::closest(source, names);
    passed = fail(Errc::not_found, fmt::format("there is no source '{}'{}", source.substr(0, 100),
                                               hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
  }
  auto place = passed ? flow::WebSocketPlace::take(call) : std::unexpected(passed.error());
  if (!place) {
    co_await flow::refuse(call, place.error());
    co_return;
  }
  auto session = co_await flow::WebSocketSession::accept(call, std::move(*offer), {});
  if (!session) co_return;
  co_await take_messages(call, **session, std::move(source));
}

// One after the other: the next message is read when the one before it was answered, so that a full pipeline slows its
// devices down.
rt::Task<void> IngestApi::take_messages(flow::Call& call, flow::WebSocketSession& session, std::string source) const {
  http::WebSocket& socket = session.socket();
  while (true) {
    auto message = co_await socket.receive();
    if (!message) {
      bool away = message.error().code != Errc::data_loss;
      if (message.error().code == Errc::protocol_error) call.event.error_type = obs::ErrorType::caller_bad_request;
      if (!away) call.event.error_type = obs::ErrorType::caller_cancelled;
      co_await session.close(away ? wire::close_code::kGoingAway : wire::close_code::kCut, message.error().detail);
      co_return;
    }
    if (!*message) {
      co_await session.close(wire::close_code::kNormal, "");
      co_return;
    }
    Result<std::size_t> taken = 0;
    auto still = flow::reaffirm(call);
    Result<void> admitted = still;
    if (still) admitted = co_await flow::admit(call);  // every message is a request
    if (admitted) {
      std::string type = (*message)->text ? "application/json" : "application/cbor";
      std::string bytes((*message)->data);
      taken = co_await take(call, source, std::move(type), std::move(bytes));
    } else {
      taken = std::unexpected(admitted.error());
    }
    std::string answer =
        taken ? fmt::format(R"({{"accepted":{}}})", *taken)
              : call.dialect.error_body(call.dialect.status(taken.error()), taken.error(), call.event.id.view());
    auto sent = co_await socket.send(true, answer);
    session.tally();
    if (!still) {
      call.event.error_type = flow::error_type_of(still.error().code);
      co_await session.close(wire::close_code::kPolicy, still.error().detail);
    }
    if (!sent || !still) co_return;
  }
}

Result<void> IngestApi::no_pipeline(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& known : lane_.pipelines()) names.push_back(known->name());
  auto hint = base::closest(name, names);
  return fail(Errc::not_found, fmt::format("there is no pipeline '{}'{}", name.substr(0, 100),
                                           hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
}

rt::Task<void> IngestApi::events(flow::Call& call, std::string pipeline) const {
  call.needs.add(flow::Capability::ingest);
  Result<void> passed = flow::identify(call);
  if (passed) passed = co_await flow::admit(call);
  std::shared_ptr<ingest::EventHub> hub = lane_.events(pipeline);
  if (passed && !hub) passed = no_pipeline(pipeline);
  co_await stream(call, std::move(pipeline), std::move(hub), std::move(passed));
}

rt::Task<void> IngestApi::tap(flow::Call& call, std::string pipeline) const {
  call.needs.add(flow::Capability::ingest);
  Result<void> passed = flow::identify(call);
  if (passed) passed = co_await flow::admit(call);
  std::string place = http::query_value(call.exchange.request().query, "step");
  auto running = lane_.pipeline(pipeline);
  if (passed && !running) passed = no_pipeline(pipeline);
  std::shared_ptr<ingest::EventHub> hub = lane_.tap(pipeline, place.empty() ? "0" : place);
  if (passed && !hub) {
    passed =
        fail(Errc::not_found,
             fmt::format("the pipeline '{}' has no step '{}'; write step=0 for what comes in, step=1 to step={} for "
                         "what comes out of a step, step=3.1.2 inside one",
                         pipeline, place.substr(0, 40), running->step_kinds().size()));
  }
  co_await stream(call, std::move(pipeline), std::move(hub), std::move(passed));
}

rt::Task<void> IngestApi::stream(flow::Call& call, std::string pipeline, std::shared_ptr<ingest::EventHub> hub,
                                 Result<void> passed) const {
  rt::Loop& loop = call.exchange.loop();
  rt::Event wake(loop);
  std::vector<ingest::Event> waiting;
  std::uint64_t lost = 0;
  std::unique_ptr<ingest::Subscription> subscription;
  if (passed) {
    subscription = hub->subscribe(loop, [&](std::vector<ingest::Event> events, std::uint64_t dropped) {
      lost += dropped;
      waiting.insert(waiting.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
      if (waiting.size() > kWaitingMax) {
        lost += waiting.size() - kWaitingMax;
        waiting.erase(waiting.begin(), waiting.end() - static_cast<std::ptrdiff_t>(kWaitingMax));
      }
      wake.set();
    });
    if (!subscription)
      passed = fail(Errc::backpressure,
                    fmt::format("the pipeline '{}' has as many watchers as it may have; try again later", pipeline));
  }
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return;
  }
  call.event.status = 200;
  call.event.streamed = true;
  call.exchange.on_client_gone([&wake] { wake.set(); });
  http::ResponseHead head(200);
  head.add("content-type", "text/event-stream; charset=utf-8")
      .add("cache-control", "no-cache")
      .add("x-accel-buffering", "no");
  flow::add_common_fields(call, head);
  call.exchange.begin(std::move(head));
  Result<void> sent = co_await call.exchange.flush();
  rt::Timer keep_alive(loop);
  int quiet_ticks = 0;
  // Until the caller may listen no more.
  while (sent && !call.exchange.client_gone() && !call.exchange.draining() && flow::reaffirm(call)) {
    keep_alive.arm_in(kTick, [&wake] { wake.set(); });
    if (waiting.empty()) {
      auto since = std::chrono::steady_clock::now();
      co_await wake;
      call.upstream_wait += std::chrono::steady_clock::now() - since;
    }
    quiet_ticks = waiting.empty() ? quiet_ticks + 1 : 0;
    std::string out = quiet_ticks > 0 && quiet_ticks % kKeepAliveTicks == 0 ? ": still here\n\n" : "";
    if (lost > 0) out += fmt::format("event: dropped\ndata: {{\"events\":{}}}\n\n", std::exchange(lost, 0));
    for (const ingest::Event& event : std::exchange(waiting, {})) {
      out += event.kind == ingest::Event::Kind::alarm ? "event: alarm\ndata: " : "event: sample\ndata: ";
      out += *event.json;
      out += "\n\n";
      ++call.event.events;
    }
    if (!out.empty()) sent = co_await call.exchange.write(out);
  }
  keep_alive.cancel();
  call.exchange.on_client_gone({});
  if (sent && !call.exchange.client_gone()) co_await call.exchange.finish();
}

}  // namespace penstock::ext
