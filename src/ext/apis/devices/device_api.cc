#include "ext/apis/devices/device_api.h"

#include <charconv>

#include "base/quantity.h"
#include "device/command.h"
#include "device/onboarding.h"
#include "flow/admission.h"
#include "flow/device_caller.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

constexpr std::uint64_t kBodyBytesMax = 64 * 1024;
constexpr auto kWaitMax = std::chrono::seconds(60);
// Whoever waits looks this often whether it has to end, and every so many times whether something is due again.
constexpr auto kTick = std::chrono::seconds(1);
constexpr int kLookTicks = 10;
constexpr int kKeepAliveTicks = 15;

using Commands = std::vector<store::StoredCommand>;

// Wakes the one who waits: after a change of the device, when the client has gone, and every kTick.
class Waiting {
 public:
  Waiting(flow::Call& call, device::Clerk& clerk, const std::string& device)
      : call_(call), wake_(call.exchange.loop()), timer_(call.exchange.loop()) {
    watch_ = clerk.watch(device, call.exchange.loop(), [this] {
      changed_ = true;
      wake_.set();
    });
    call.exchange.on_client_gone([this] { wake_.set(); });
  }
  ~Waiting() { call_.exchange.on_client_gone({}); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  rt::Task<void> turn() {
    timer_.arm_in(kTick, [this] { wake_.set(); });
    auto since = std::chrono::steady_clock::now();
    co_await wake_;
    call_.upstream_wait += std::chrono::steady_clock::now() - since;
    ++ticks_;
  }
  // Whether it is worth a look, since the last time.
  bool look() { return std::exchange(changed_, false) || ticks_ % kLookTicks == 0; }
  int ticks() const { return ticks_; }
  bool over() const { return call_.exchange.client_gone() || call_.exchange.draining(); }

 private:
  flow::Call& call_;
  rt::Event wake_;
  rt::Timer timer_;
  std::unique_ptr<device::Watch> watch_;
  bool changed_ = false;
  int ticks_ = 0;
};

Result<base::Duration> read_wait(std::string_view query) {
  std::string text = http::query_value(query, "wait");
  if (text.empty()) return base::Duration::zero();
  auto wait = base::parse_duration(text);
  if (!wait) return fail(Errc::invalid_argument, "'wait': " + wait.error().detail);
  return std::min<base::Duration>(*wait, kWaitMax);
}

// The version in an entity tag, with or without quotes. Nothing where the field is absent or `*`.
Result<std::optional<std::int64_t>> read_version(std::string_view tag) {
  if (tag.empty() || tag == "*") return std::nullopt;
  if (tag.starts_with('"') && tag.ends_with('"') && tag.size() > 1) tag = tag.substr(1, tag.size() - 2);
  std::int64_t version = 0;
  auto [end, problem] = std::from_chars(tag.data(), tag.data() + tag.size(), version);
  if (problem == std::errc() && end == tag.data() + tag.size()) return version;
  return fail(Errc::invalid_argument, "a twin's entity tag is its version: \"3\"");
}

rt::Task<void> answer(flow::Call& call, int status, std::string body, std::int64_t version) {
  call.event.status = static_cast<std::uint16_t>(status);
  http::ResponseHead head(status);
  if (status != 304) head.add("content-type", "application/json");
  head.add("etag", fmt::format("\"{}\"", version)).add("cache-control", "no-store");
  flow::add_common_fields(call, head);
  co_await call.exchange.respond(std::move(head), body);
}

// 412 for a version that is not the one any more (RFC 9110 section 13.1.1).
rt::Task<void> refuse_twin(flow::Call& call, Error error) {
  int status = error.code == Errc::failed_precondition ? 412 : 0;
  co_await flow::refuse(call, std::move(error), obs::ErrorType::none, status);
}

}  // namespace

template <class T>
rt::Task<Result<T>> DeviceApi::ask(rt::Loop& loop, std::function<Result<T>(store::DeviceStore&)> work) const {
  std::function<void(std::function<void(Result<T>)>)> start = [&](std::function<void(Result<T>)> done) {
    auto asked = clerk_.ask(loop, std::move(work), done);
    if (!asked) done(std::unexpected(asked.error()));
  };
  rt::Callback<Result<T>> asking(loop, std::move(start));
  auto found = co_await asking;
  co_return found;
}

Result<void> DeviceApi::check(const flow::Call& call, const std::string& device) const {
  std::string_view caller = flow::device_of(call.key);
  if (caller.empty()) {
    return fail(call.key == nullptr ? Errc::unauthenticated : Errc::permission_denied,
                "this is for devices: send the device's own credential as 'Authorization: Bearer <credential>', or its "
                "certificate (`penstock device issue`); people use the admin API");
  }
  if (caller != device)
    return fail(Errc::permission_denied, fmt::format("the device '{}' sees its own twin and commands alone", caller));
  return clerk_.registry().check(device);
}

Result<void> DeviceApi::check_again(flow::Call& call, const std::string& device) const {
  auto still = flow::reaffirm(call);
  return still ? check(call, device) : still;
}

template <class T>
rt::Task<Result<T>> DeviceApi::ask_again(flow::Call& call, std::string device,
                                         std::function<Result<T>(store::DeviceStore&)> work) const {
  if (auto may = check_again(call, device); !may) co_return std::unexpected(may.error());
  auto found = co_await ask<T>(call.exchange.loop(), std::move(work));
  // The disk takes its time, and a credential may have been taken back meanwhile.
  if (auto may = check_again(call, device); !may) co_return std::unexpected(may.error());
  co_return found;
}

rt::Task<Result<void>> DeviceApi::enter(flow::Call& call, const std::string& device) const {
  call.needs.add(flow::Capability::ingest);
  Result<void> passed = flow::identify(call);
  if (passed) passed = co_await flow::admit(call);
  if (passed) passed = check(call, device);
  if (passed) {
    clerk_.registry().note_seen(device);
  } else {
    co_await flow::refuse(call, passed.error());
  }
  co_return passed;
}

rt::Task<void> DeviceApi::onboard(flow::Call& call) const {
  auto body = co_await call.exchange.read_body(kBodyBytesMax);
  if (!body) {
    co_await flow::refuse(call, body.error());
    co_return;
  }
  auto message = json::parse(*body);
  device::Onboarding asked;
  asked.code = message ? json::string_or(*message, "code", "") : "";
  asked.request = message ? json::string_or(*message, "csr", "") : "";
  asked.certificate_days = clerk_.registry().settings().certificate_days;
  if (asked.code.empty() || asked.code.size() > 100) {
    Error error{Errc::invalid_argument, R"(send {"code": "..."}, and {"csr": "PEM"} for a certificate)"};
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  std::function<Result<device::Onboarded>(store::DeviceStore&)> work = [this, asked, at = now()](auto& store) {
    auto onboarded = device::onboard(store, clerk_.data_dir(), clerk_.installation(), asked, at);
    if (onboarded) clerk_.refresh();  // what is answered is good at once
    return onboarded;
  };
  auto done = co_await ask<device::Onboarded>(call.exchange.loop(), std::move(work));
  bool guessed = !done && done.error().code == Errc::not_found;
  if (done || guessed) clerk_.count_onboarding(done.has_value());
  if (!done) {
    // As with wrong keys: whoever guesses has to wait.
    if (guessed && call.admission != nullptr)
      call.retry_after = call.admission->too_many_wrong_keys(call.exchange.loop(), net::client_of(call.client()));
    if (call.retry_after) done = fail(Errc::resource_exhausted, "too many wrong codes came from this address");
    co_await flow::refuse(call, done.error());
    co_return;
  }
  json::Object shown{{"device", done->device}};
  if (!done->secret.empty()) shown["secret"] = std::string(done->secret.reveal());
  if (!done->certificate.empty()) {
    shown["certificate"] = done->certificate;
    shown["authority"] = done->authority;
    shown["expires"] = base::to_rfc3339(done->expires);
  }
  co_await flow::respond_json(call, 201, json::dump(shown));
}

rt::Task<void> DeviceApi::twin(flow::Call& call, std::string device) const {
  auto entered = co_await enter(call, device);
  if (!entered) co_return;
  std::function<Result<store::StoredTwin>(store::DeviceStore&)> work = [device](auto& store) {
    return store.twin(device);
  };
  auto found = co_await ask<store::StoredTwin>(call.exchange.loop(), std::move(work));
  if (found) {
    co_await answer(call, 200, json::dump(device::twin_json(*found)), found->desired_version);
  } else {
    co_await refuse_twin(call, found.error());
  }
}

// With If-None-Match and `wait` it waits for another version.
rt::Task<void> DeviceApi::desired(flow::Call& call, std::string device) const {
  auto entered = co_await enter(call, device);
  if (!entered) co_return;
  auto known = read_version(call.exchange.request().field("if-none-match"));
  auto wait = read_wait(call.exchange.request().query);
  if (!known || !wait) {
    co_await refuse_twin(call, known ? wait.error() : known.error());
    co_return;
  }
  base::SteadyTime until = std::chrono::steady_clock::now() + *wait;
  Waiting waiting(call, clerk_, device);
  while (true) {
    std::function<Result<store::StoredTwin>(store::DeviceStore&)> work = [device](auto& store) {
      return store.twin(device);
    };
    auto found = co_await ask_again<store::StoredTwin>(call, device, std::move(work));
    if (!found) {
      co_await refuse_twin(call, found.error());
      co_return;
    }
    bool fresh = !*known || **known != found->desired_version;
    if (fresh || waiting.over() || std::chrono::steady_clock::now() >= until) {
      std::string body = fresh ? json::dump(device::desired_json(*found)) : "";
      co_await answer(call, fresh ? 200 : 304, std::move(body), found->desired_version);
      co_return;
    }
    do co_await waiting.turn();
    while (!waiting.look() && !waiting.over() && std::chrono::steady_clock::now() < until);
  }
}

rt::Task<void> DeviceApi::report(flow::Call& call, std::string device) const {
  auto entered = co_await enter(call, device);
  if (!entered) co_return;
  auto expected = read_version(call.exchange.request().field("if-match"));
  auto body = co_await call.exchange.read_body(kBodyBytesMax);
  Result<std::string> text = body ? device::read_twin(*body) : std::unexpected(body.error());
  if (!expected) text = std::unexpected(expected.error());
  if (!text) {
    clerk_.registry().note_malformed(device);
    co_await refuse_twin(call, text.error());
    co_return;
  }
  std::function<Result<store::StoredTwin>(store::DeviceStore&)> work = [device, twin = *text, version = *expected,
                                                                        at = now()](auto& store) {
    return store.set_reported(device, twin, version, at);
  };
  auto set = co_await ask<store::StoredTwin>(call.exchange.loop(), std::move(work));
  if (set) {
    json::Object shown{{"version", set->reported_version}};
    co_await answer(call, 200, json::dump(shown), set->reported_version);
  } else {
    co_await refuse_twin(call, set.error());
  }
}

rt::Task<void> DeviceApi::commands(flow::Call& call, std::string device) const {
  auto entered = co_await enter(call, device);
  if (!entered) co_return;
  if (call.exchange.request().field("accept").find("text/event-stream") != std::string_view::npos) {
    co_await stream_commands(call, std::move(device));
    co_return;
  }
  auto wait = read_wait(call.exchange.request().query);
  if (!wait) {
    co_await refuse_twin(call, wait.error());
    co_return;
  }
  base::SteadyTime until = std::chrono::steady_clock::now() + *wait;
  Waiting waiting(call, clerk_, device);
  // What is handed to nobody would count as delivered.
  while (!call.exchange.client_gone()) {
    std::function<Result<Commands>(store::DeviceStore&)> work = [this, device](auto& store) {
      return store.deliver(device, now());
    };
    auto due = co_await ask_again<Commands>(call, device, std::move(work));
    if (!due) {
      co_await refuse_twin(call, due.error());
      co_return;
    }
    if (!due->empty() || waiting.over() || std::chrono::steady_clock::now() >= until) {
      json::Array list;
      for (const store::StoredCommand& command : *due) list.push_back(device::command_json(command));
      co_await flow::respond_json(call, 200, json::dump(json::Object{{"commands", std::move(list)}}));
      co_return;
    }
    do co_await waiting.turn();
    while (!waiting.look() && !waiting.over() && std::chrono::steady_clock::now() < until);
  }
}

rt::Task<void> DeviceApi::stream_commands(flow::Call& call, std::string device) const {
  call.event.status = 200;
  call.event.streamed = true;
  http::ResponseHead head(200);
  head.add("content-type", "text/event-stream; charset=utf-8").add("cache-control", "no-cache");
  flow::add_common_fields(call, head);
  call.exchange.begin(std::move(head));
  Result<void> sent = co_await call.exchange.flush();
  Waiting waiting(call, clerk_, device);
  bool look = true;
  while (sent && !waiting.over()) {
    std::string out;
    if (look) {
      std::function<Result<Commands>(store::DeviceStore&)> work = [this, device](auto& store) {
        return store.deliver(device, now());
      };
      auto due = co_await ask_again<Commands>(call, device, std::move(work));
      if (!due) break;
      for (const store::StoredCommand& command : *due) {
        out += fmt::format("event: command\ndata: {}\n\n", json::dump(device::command_json(command)));
        ++call.event.events;
      }
    } else if (!check_again(call, device)) {
      break;
    }
    if (out.empty() && waiting.ticks() % kKeepAliveTicks == 0) out = ": still here\n\n";
    if (!out.empty()) sent = co_await call.exchange.write(out);
    if (!sent) break;
    clerk_.registry().note_seen(device);
    co_await waiting.turn();
    look = waiting.look();
  }
  if (sent && !call.exchange.client_gone()) co_await call.exchange.finish();
}

rt::Task<void> DeviceApi::acknowledge(flow::Call& call, std::string device, std::string command) const {
  auto entered = co_await enter(call, device);
  if (!entered) co_return;
  auto body = co_await call.exchange.read_body(kBodyBytesMax);
  Result<json::Value> message = body ? json::parse(*body) : std::unexpected(body.error());
  Result<device::CommandAnswer> said = message ? device::read_answer(*message) : std::unexpected(message.error());
  if (!said) {
    clerk_.registry().note_malformed(device);
    co_await flow::refuse(call, said.error());
    co_return;
  }
  std::function<Result<store::StoredCommand>(store::DeviceStore&)> work = [device, command, said = *said,
                                                                           at = now()](auto& store) {
    return store.end_command(device, command, said.state, said.result, {"device:" + device, at});
  };
  auto ended = co_await ask<store::StoredCommand>(call.exchange.loop(), std::move(work));
  if (ended) {
    co_await flow::respond_json(call, 200, json::dump(json::Object{{"id", ended->id}, {"state", ended->state}}));
  } else {
    co_await flow::refuse(call, ended.error());
  }
}

}  // namespace penstock::ext
