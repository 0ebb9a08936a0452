#include "llm/dispatch.h"

#include <gmock/gmock.h>

#include "flow/dialect.h"
#include "flow/filter.h"
#include "http/server.h"
#include "http/test/fake_exchange.h"
#include "llm/test/fake_provider.h"
#include "net/acceptor.h"
#include "rt/await.h"

namespace penstock::llm {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class PlainDialect : public flow::Dialect {
 public:
  std::string error_body(int, const Error& error, std::string_view) const override { return error.detail; }
};

// An upstream on the same loop: what it does stands in the path, which is the model's name.
// The next event, waited for; nothing at the end.
rt::Task<Result<std::optional<std::string_view>>> next_event(Answer& answer) {
  while (true) {
    auto event = answer.next();
    if (!event || event->has_value() || answer.ended()) co_return event;
    auto waited = co_await answer.wait();
    if (!waited) co_return std::unexpected(waited.error());
  }
}

struct Upstreams : testing::Test {
  rt::Loop loop;
  std::vector<std::string> asked;  // the models, in the order of the calls
  int left = 0;                    // calls whose caller went away before the answer's end
  http::Server server{loop,
                      [this](http::Exchange& x) { return answer(x); },
                      [](int, std::string_view, const std::string& detail) { return detail; },
                      {}};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        server.accept(fd, peer);
      }).value();
  http::ClientPool pool{loop};
  PlainDialect dialect;
  http::FakeExchange exchange{loop};
  flow::Call call{
      exchange, dialect,
      std::make_shared<const flow::Policy>(flow::Callers{}, true, std::vector<std::unique_ptr<flow::Filter>>{})};
  Request request;
  std::string body = "hello";
  std::shared_ptr<const Provider> provider = std::make_shared<const FakeProvider>(
      *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port())));

  Upstreams() { request.body = body; }

  rt::Task<void> answer(http::Exchange& x) {
    std::string what(x.request().path.substr(1));
    asked.push_back(what);
    auto got = co_await x.read_body(1000);
    EXPECT_EQ(got.value_or(""), "hello");
    if (what.starts_with("status-")) {
      http::ResponseHead head(std::stoi(what.substr(7)));
      head.add("content-type", "application/json").add("retry-after", "7");
      co_await x.respond(std::move(head), R"({"error":"no"})");
    } else if (what == "garbage") {
      http::ResponseHead head(200);
      co_await x.respond(std::move(head), "garbage");
    } else if (what == "silent") {
      rt::Event gone(x.loop());
      x.on_client_gone([&] {
        ++left;
        gone.set();
      });
      co_await gone;
      x.abort();
    } else if (what.starts_with("stream")) {
      co_await stream(x, what);
    } else {
      http::ResponseHead head(200);
      head.add("content-type", "application/json");
      co_await x.respond(std::move(head), "an answer, usage 3 4 1");
    }
  }

  rt::Task<void> stream(http::Exchange& x, std::string what) {
    http::ResponseHead head(200);
    head.add("content-type", "text/event-stream; charset=utf-8");
    x.begin(std::move(head));
    if (what == "stream-error") {
      co_await x.write("data: error at once\n\n");
    } else if (what == "stream-cut-before-first") {
      co_await x.write("data: on");
      x.abort();
      co_return;
    } else if (what == "stream-empty") {
      co_await x.finish();
      co_return;
    } else if (what == "stream-opens-and-fails") {
      co_await x.write("data: opening\n\ndata: opening\n\ndata: error at once\n\n");
    } else if (what == "stream-opens") {
      co_await x.write("data: opening\n\ndata: opening\n\ndata: one\n\n");
    } else if (what == "stream-ours-first") {
      co_await x.write("data: ours\n\ndata: one\n\n");
    } else {
      // Pieces that are no events: the border is the protocol's, not the network's.
      co_await x.write("event: a\r\ndata: o");
      co_await x.write("ne\r\n\r\ndata: two\n\ndata: ours, usage 5 6 0\n\n");
    }
    if (what == "stream-cut") {
      x.abort();
      co_return;
    }
    if (what == "stream-error-later") co_await x.write("data: error in the middle\n\n");
    if (what == "stream-half-event") {
      co_await x.write("data: thr");
      co_await x.finish();
      co_return;
    }
    if (what == "stream-stalls") {
      rt::Event gone(x.loop());
      x.on_client_gone([&] {
        ++left;
        gone.set();
      });
      co_await gone;
      co_return;
    } else if (what != "stream-no-mark") {
      co_await x.write("data: end\n\n");
    }
    co_await x.finish();
  }

  Target target(std::string model, std::shared_ptr<const Provider> to = nullptr) {
    Target made;
    made.label = obs::intern("lab/" + model);
    made.model = std::move(model);
    made.provider = to ? std::move(to) : provider;
    return made;
  }

  std::shared_ptr<Route> route(std::vector<std::string> models, std::int64_t attempts = 1) {
    auto made = std::make_shared<Route>();
    made->by_priority = true;
    made->retry.attempts = attempts;
    made->timeouts = {.first_byte = 5s, .idle = 5s, .total = 20s};
    for (std::string& model : models) made->targets.push_back(target(std::move(model)));
    return made;
  }

  void run(rt::Task<void> task) {
    auto whole = [](Upstreams& f, rt::Task<void> inner) -> rt::Task<void> {
      co_await inner;
      f.pool.close_all();
      co_await f.server.drain(std::chrono::steady_clock::now() + 1s);
      f.loop.stop();
    };
    rt::spawn(whole(*this, std::move(task)));
    loop.run();
  }

  // The outcome of one dispatch, read to its end.
  struct Outcome {
    std::optional<Failure> failure;
    bool streaming = false;
    std::string body;
    std::vector<std::string> events;  // their bytes
    std::optional<Error> broken;      // how the stream ended when not properly
    std::string broken_off;           // what the client is told of that
    Usage usage;
    bool failed = false;
  };
  Outcome dispatch(std::shared_ptr<const Route> to) {
    Outcome outcome;
    auto task = [](Upstreams& f, std::shared_ptr<const Route> wanted, Outcome& out) -> rt::Task<void> {
      Dispatch dispatch(f.pool, f.call, wanted, f.request);
      auto won = co_await dispatch.run();
      if (!won) {
        out.failure.emplace(std::move(won.error()));
        co_return;
      }
      Answer& answer = **won;
      out.streaming = answer.streaming();
      out.body = answer.body();
      while (answer.streaming()) {
        auto event = co_await next_event(answer);
        if (!event) {
          out.broken = event.error();
          out.broken_off = answer.break_off(event.error());
        }
        if (!event || !event->has_value()) break;
        out.events.emplace_back(**event);
      }
      if (answer.streaming() && !out.broken) co_await answer.settle();
      out.usage = answer.usage();
      out.failed = answer.failed();
    };
    run(task(*this, std::move(to), outcome));
    return outcome;
  }
};

TEST_F(Upstreams, GivesAWholeAnswerWithItsUsage) {
  Outcome outcome = dispatch(route({"plain"}));
  ASSERT_FALSE(outcome.failure);
  EXPECT_FALSE(outcome.streaming);
  EXPECT_EQ(outcome.body, "an answer, usage 3 4 1");
  EXPECT_TRUE(outcome.usage.known);
  EXPECT_EQ(outcome.usage.input, 3);
  EXPECT_EQ(outcome.usage.output, 4);
  EXPECT_EQ(outcome.usage.cached, 1);
  EXPECT_EQ(call.event.attempts, 1);
  EXPECT_EQ(call.event.target.view(), "lab/plain");
  EXPECT_GT(call.upstream_wait.count(), 0);
}

TEST_F(Upstreams, ForwardsEventsAsTheyCame) {
  request.stream = true;
  Outcome outcome = dispatch(route({"stream"}));
  ASSERT_FALSE(outcome.failure);
  EXPECT_TRUE(outcome.streaming);
  EXPECT_THAT(outcome.events, ElementsAre("event: a\r\ndata: one\r\n\r\n", "data: two\n\n", "data: end\n\n"))
      << "without the one that is ours";
  EXPECT_FALSE(outcome.broken);
  EXPECT_EQ(outcome.usage.input, 5);
  EXPECT_EQ(outcome.usage.output, 6);
}

TEST_F(Upstreams, KeepsTheConnectionOfAStreamThatEnded) {
  request.stream = true;
  auto task = [](Upstreams& f, std::shared_ptr<const Route> wanted) -> rt::Task<void> {
    for (int i = 0; i < 3; ++i) {
      Dispatch dispatch(f.pool, f.call, wanted, f.request);
      auto won = co_await dispatch.run();
      EXPECT_TRUE(won.has_value());
      if (!won) co_return;
      while (true) {
        auto event = co_await next_event(**won);
        if (!event || !event->has_value()) break;
      }
      co_await (*won)->settle();
      EXPECT_EQ(f.pool.idle(), 1U);
      EXPECT_EQ(f.server.connections(), 1U);
    }
  };
  run(task(*this, route({"stream"})));
  EXPECT_EQ(asked.size(), 3U);
}

TEST_F(Upstreams, TakesTheEndOfTheMessageForTheEndOfTheStream) {
  request.stream = true;
  Outcome outcome = dispatch(route({"stream-no-mark"}));
  EXPECT_EQ(outcome.events.size(), 2U);
  EXPECT_FALSE(outcome.broken);
}

TEST_F(Upstreams, LooksPastItsOwnEventsForTheFirstOfTheClient) {
  request.stream = true;
  EXPECT_THAT(dispatch(route({"stream-ours-first"})).events, ElementsAre("data: one\n\n", "data: end\n\n"));
}

TEST_F(Upstreams, HoldsWhatOnlyOpensAnAnswerUntilItsFirstWord) {
  request.stream = true;
  EXPECT_THAT(dispatch(route({"stream-opens-and-fails", "stream-opens"})).events,
              ElementsAre("data: opening\n\n", "data: opening\n\n", "data: one\n\n", "data: end\n\n"));
  EXPECT_THAT(asked, ElementsAre("stream-opens-and-fails", "stream-opens"));
}

TEST_F(Upstreams, TakesAStreamWithoutEventsForAFailure) {
  request.stream = true;
  Outcome outcome = dispatch(route({"stream-empty"}));
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->type, obs::ErrorType::provider_malformed);
}

TEST_F(Upstreams, GivesAWholeAnswerToWhoAskedForAStream) {
  request.stream = true;
  Outcome outcome = dispatch(route({"plain"}));
  EXPECT_FALSE(outcome.streaming);
  EXPECT_EQ(outcome.body, "an answer, usage 3 4 1");
}

// So many calls, one after the other, whatever comes of them; streams are read to their end.
rt::Task<void> call_often(Upstreams& f, std::shared_ptr<const Route> route, int times) {
  for (int i = 0; i < times; ++i) {
    Dispatch dispatch(f.pool, f.call, route, f.request);
    auto won = co_await dispatch.run();
    while (won && (*won)->streaming()) {
      auto event = co_await next_event(**won);
      if (!event || !event->has_value()) break;
    }
  }
}

TEST_F(Upstreams, AsksAProviderThatKeepsFailingLast) {
  auto other = std::make_shared<const FakeProvider>(provider->origin()->url);
  auto to = route({"status-500"});
  to->targets.push_back(target("plain", other));
  run(call_often(*this, to, 7));
  EXPECT_EQ(std::count(asked.begin(), asked.end(), "status-500"), 5) << "then it is ejected";
  EXPECT_EQ(std::count(asked.begin(), asked.end(), "plain"), 7);
  EXPECT_EQ(provider->origin()->state->health.ejections(), 1U);
  EXPECT_TRUE(other->origin()->state->health.usable(loop.now()));
}

TEST_F(Upstreams, AProviderThatOnlyEverBeginsStreamsIsAskedLast) {
  request.stream = true;
  auto other = std::make_shared<const FakeProvider>(provider->origin()->url);
  auto to = route({"stream-cut"});
  to->targets.push_back(target("stream", other));
  run(call_often(*this, to, 8));
  EXPECT_EQ(std::count(asked.begin(), asked.end(), "stream-cut"), 5) << "then it is ejected";
  EXPECT_EQ(std::count(asked.begin(), asked.end(), "stream"), 3);
  EXPECT_EQ(provider->origin()->state->health.ejections(), 1U);
}

TEST_F(Upstreams, ErrorsWithinStreamsCountAsFailures) {
  request.stream = true;
  run(call_often(*this, route({"stream-error-later"}), 5));
  EXPECT_EQ(provider->origin()->state->health.ejections(), 1U);
}

TEST_F(Upstreams, StreamsThatEndWellAreASignOfGoodHealth) {
  request.stream = true;
  auto task = [](Upstreams& f) -> rt::Task<void> {
    for (int i = 0; i < 3; ++i) {
      co_await call_often(f, f.route({"stream-cut"}), 4);
      co_await call_often(f, f.route({"stream"}), 1);
    }
  };
  run(task(*this));
  EXPECT_EQ(provider->origin()->state->health.ejections(), 0U);
}

// A provider whose ejection is over.
std::shared_ptr<const FakeProvider> on_trial(const net::Url& url, base::SteadyTime now) {
  auto made = std::make_shared<const FakeProvider>(url);
  made->origin()->state->health.failed({.failures = 1, .eject = 1ns, .eject_max = 1ns}, now - 1s);
  return made;
}

TEST_F(Upstreams, OneCallAtATimeTriesAProviderThatWasEjected) {
  auto tried = on_trial(provider->origin()->url, loop.now());
  auto to = route({});
  to->targets.push_back(target("first", tried));
  to->targets.push_back(target("second"));
  Attempts one(*to, loop.now());
  Attempts two(*to, loop.now());
  http::OriginHealth::Trial trial_of_one;
  http::OriginHealth::Trial trial_of_two;
  EXPECT_EQ(one.next(loop.now(), trial_of_one)->model, "first");
  EXPECT_TRUE(trial_of_one);
  EXPECT_EQ(two.next(loop.now(), trial_of_two)->model, "second");
  EXPECT_EQ(two.next(loop.now(), trial_of_two)->model, "first") << "put off, not left out";
  EXPECT_EQ(two.next(loop.now(), trial_of_two), nullptr);
  EXPECT_EQ(one.next(loop.now(), trial_of_one)->model, "second");
  EXPECT_FALSE(trial_of_one) << "given up with the target";
  Attempts three(*to, loop.now());
  EXPECT_EQ(three.next(loop.now(), trial_of_two)->model, "first");
}

TEST_F(Upstreams, ATrialLastsAsLongAsItsStream) {
  request.stream = true;
  auto tried = on_trial(provider->origin()->url, loop.now());
  auto to = route({});
  to->targets.push_back(target("stream", tried));
  auto task = [](Upstreams& f, std::shared_ptr<const Route> wanted,
                 const http::OriginHealth& health) -> rt::Task<void> {
    Dispatch dispatch(f.pool, f.call, wanted, f.request);
    auto won = co_await dispatch.run();
    EXPECT_TRUE(won.has_value());
    EXPECT_TRUE(health.on_trial(f.loop.now())) << "it has only begun";
    EXPECT_FALSE(health.usable(f.loop.now()));
    while (won) {
      auto event = co_await next_event(**won);
      if (!event || !event->has_value()) break;
    }
    EXPECT_FALSE(health.on_trial(f.loop.now()));
    EXPECT_TRUE(health.usable(f.loop.now()));
  };
  run(task(*this, to, tried->origin()->state->health));
}

TEST(RetryAfter, IsSecondsOrADateWithinReason) {
  constexpr base::WallMicros kNow = 784'111'777'000'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(read_retry_after("7", kNow), 7s);
  EXPECT_EQ(read_retry_after("0", kNow), 0s);
  EXPECT_EQ(read_retry_after("604800", kNow), 604800s);
  EXPECT_EQ(read_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", kNow), 60s);
  for (const char* nonsense :
       {"", "-1", "-99999999999999999999", "1000000000000", "99999999999999999999999", "604801", "1.5", "7s", "soon",
        " ", "Sun, 06 Nov 1994 08:48:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37"})
    EXPECT_FALSE(read_retry_after(nonsense, kNow)) << nonsense;
}

TEST_F(Upstreams, ARefusalIsNoSignOfBadHealth) {
  auto task = [](Upstreams& f) -> rt::Task<void> {
    co_await call_often(f, f.route({"status-429"}), 6);
    co_await call_often(f, f.route({"status-401"}), 6);
  };
  run(task(*this));
  EXPECT_EQ(asked.size(), 12U);
  EXPECT_TRUE(provider->origin()->state->health.usable(loop.now()));
}

TEST_F(Upstreams, AFullPoolIsOurFaultAndGoesToTheNextTarget) {
  http::Origin narrow;
  narrow.url = provider->origin()->url;
  narrow.connections.max = 1;
  narrow.connections.waiting = 0;
  auto full = std::make_shared<const FakeProvider>(std::make_shared<const http::Origin>(std::move(narrow)));
  auto to = route({});
  to->targets.push_back(target("silent", full));
  auto task = [](Upstreams& f, std::shared_ptr<Route> wanted) -> rt::Task<void> {
    auto held = co_await f.pool.open(wanted->targets[0].provider->origin(), f.loop.now() + 1s, nullptr);
    EXPECT_TRUE(held.has_value());
    Dispatch refused(f.pool, f.call, wanted, f.request);
    auto none = co_await refused.run();
    EXPECT_FALSE(none.has_value());
    if (!none) EXPECT_EQ(none.error().type, obs::ErrorType::penstock_overload);
    if (!none) EXPECT_EQ(none.error().error.code, Errc::backpressure);
    wanted->fallback.push_back(f.target("plain"));
    Dispatch dispatch(f.pool, f.call, wanted, f.request);
    auto won = co_await dispatch.run();
    EXPECT_TRUE(won.has_value());
  };
  run(task(*this, to));
  EXPECT_TRUE(full->origin()->state->health.usable(loop.now()));
}

TEST_F(Upstreams, LeavingEndsThePauseBeforeARetry) {
  auto to = route({"status-500"}, 10);
  auto task = [](Upstreams& f, std::shared_ptr<const Route> wanted) -> rt::Task<void> {
    Dispatch dispatch(f.pool, f.call, wanted, f.request);
    rt::Timer leaving(f.loop);
    // The pauses of ten attempts are 50 ms to 1.6 s each: without the cancellation this takes ten seconds.
    leaving.arm_in(300ms, [&] {
      f.exchange.leave();
      dispatch.cancel();
    });
    auto won = co_await dispatch.run();
    EXPECT_FALSE(won.has_value());
    if (!won) EXPECT_EQ(won.error().type, obs::ErrorType::caller_cancelled);
  };
  run(task(*this, to));
  EXPECT_LT(asked.size(), 5U);
}

struct FallsBack : Upstreams, testing::WithParamInterface<const char*> {};

TEST_P(FallsBack, BeforeTheFirstByte) {
  request.stream = std::string_view(GetParam()).starts_with("stream");
  auto to = route({GetParam(), request.stream ? "stream" : "plain"});
  Outcome outcome = dispatch(to);
  EXPECT_FALSE(outcome.failure) << outcome.failure->error.detail;
  EXPECT_EQ(outcome.streaming, request.stream);
  EXPECT_FALSE(outcome.broken);
  EXPECT_EQ(call.event.attempts, 2);
  EXPECT_EQ(asked.size(), 2U);
}
INSTANTIATE_TEST_SUITE_P(Upstreams, FallsBack,
                         testing::Values("status-500", "status-503", "status-429", "garbage", "stream-error",
                                         "stream-cut-before-first", "stream-empty"),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(Upstreams, FallsBackWhenNobodyListens) {
  // A port that was free a moment ago.
  std::uint16_t port = 0;
  {
    auto once = net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [](int, const net::Endpoint&) {});
    port = (*once)->endpoint().port();
  }
  auto nobody = std::make_shared<const FakeProvider>(*net::parse_http_url(fmt::format("http://127.0.0.1:{}", port)));
  auto to = route({});
  to->targets.push_back(target("gone", nobody));
  to->fallback.push_back(target("plain"));
  Outcome outcome = dispatch(to);
  EXPECT_EQ(outcome.body, "an answer, usage 3 4 1");
  EXPECT_EQ(call.event.attempts, 2);
}

TEST_F(Upstreams, FallsBackWhenTheHeadDoesNotCome) {
  auto to = route({"silent", "plain"});
  to->timeouts.first_byte = 30ms;
  EXPECT_EQ(dispatch(to).body, "an answer, usage 3 4 1");
  EXPECT_THAT(asked, ElementsAre("silent", "plain"));
}

TEST_F(Upstreams, SaysWhyNobodyAnswered) {
  auto to = route({"silent"});
  to->timeouts.first_byte = 30ms;
  Outcome outcome = dispatch(to);
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->type, obs::ErrorType::provider_timeout);
  EXPECT_EQ(outcome.failure->error.code, Errc::deadline_exceeded);
  EXPECT_THAT(outcome.failure->error.detail, HasSubstr("the provider 'lab/silent' failed"));
}

TEST_F(Upstreams, DoesNotRetryWhatTheCallerDidWrong) {
  Outcome outcome = dispatch(route({"status-400", "plain"}, 3));
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->upstream_status, 400);
  EXPECT_EQ(outcome.failure->type, obs::ErrorType::provider_4xx);
  EXPECT_EQ(outcome.failure->upstream_body, R"({"error":"no"})");
  EXPECT_EQ(outcome.failure->upstream_content_type, "application/json");
  EXPECT_EQ(outcome.failure->retry_after, 7s);
  EXPECT_EQ(call.event.attempts, 1);
  EXPECT_THAT(asked, ElementsAre("status-400"));
}

TEST_F(Upstreams, DoesNotAskWhoCannotBeAsked) {
  Outcome outcome = dispatch(route({"unspeakable", "plain"}));
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->type, obs::ErrorType::caller_bad_request);
  EXPECT_TRUE(asked.empty());
}

TEST_F(Upstreams, CountsEveryAttempt) {
  Outcome outcome = dispatch(route({"status-500", "status-503"}, 2));
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->upstream_status, 503) << "the last one explains";
  EXPECT_EQ(outcome.failure->type, obs::ErrorType::provider_5xx);
  EXPECT_THAT(asked, ElementsAre("status-500", "status-500", "status-503", "status-503"));
  EXPECT_EQ(call.event.attempts, 4);
}

TEST_F(Upstreams, RetriesOnlyWhatTheRouteSaysButFallsBackAllTheSame) {
  auto to = route({"status-500", "plain"});
  to->retry.attempts = 3;
  to->retry.on_5xx = false;
  EXPECT_FALSE(dispatch(to).failure);
  EXPECT_THAT(asked, ElementsAre("status-500", "plain"));
}

TEST_F(Upstreams, RetriesAStatusTheRouteNames) {
  auto to = route({"status-404", "plain"});
  to->retry.statuses = {404};
  EXPECT_FALSE(dispatch(to).failure);
}

TEST_F(Upstreams, TellsACutStreamFromAnEnd) {
  request.stream = true;
  Outcome outcome = dispatch(route({"stream-cut", "stream"}));
  EXPECT_THAT(outcome.events, ElementsAre("event: a\r\ndata: one\r\n\r\n", "data: two\n\n"));
  ASSERT_TRUE(outcome.broken);
  EXPECT_EQ(outcome.broken->code, Errc::data_loss);
  EXPECT_THAT(asked, ElementsAre("stream-cut")) << "the client has a part already: nobody else is asked";
}

TEST_F(Upstreams, ClosesTheArrayOfAStreamThatBreaksOff) {
  request.stream = true;
  request.framing = Framing::array;
  Outcome outcome = dispatch(route({"stream-cut"}));
  EXPECT_THAT(outcome.events, ElementsAre("[one", ",\r\ntwo"));
  ASSERT_TRUE(outcome.broken);
  EXPECT_THAT(outcome.broken_off, testing::AllOf(testing::StartsWith(",\r\n"), testing::EndsWith("]")));
}

TEST_F(Upstreams, HandsOnAnErrorWithinAStreamAndKnowsOfIt) {
  request.stream = true;
  Outcome outcome = dispatch(route({"stream-error-later", "stream"}));
  EXPECT_THAT(outcome.events, ElementsAre("event: a\r\ndata: one\r\n\r\n", "data: two\n\n",
                                          "data: error in the middle\n\n", "data: end\n\n"));
  EXPECT_TRUE(outcome.failed);
  EXPECT_FALSE(outcome.broken);
}

TEST_F(Upstreams, TakesAnEndWithinAnEventForACut) {
  request.stream = true;
  Outcome outcome = dispatch(route({"stream-half-event"}));
  EXPECT_EQ(outcome.events.size(), 2U);
  ASSERT_TRUE(outcome.broken);
  EXPECT_EQ(outcome.broken->code, Errc::data_loss);
}

TEST_F(Upstreams, GivesUpAStreamThatStalls) {
  request.stream = true;
  auto to = route({"stream-stalls"});
  to->timeouts.idle = 30ms;
  Outcome outcome = dispatch(to);
  EXPECT_EQ(outcome.events.size(), 2U);
  ASSERT_TRUE(outcome.broken);
  EXPECT_EQ(outcome.broken->code, Errc::deadline_exceeded);
}

TEST_F(Upstreams, EndsTheUpstreamCallWhenTheClientLeavesWhileWaiting) {
  auto task = [](Upstreams& f, std::shared_ptr<const Route> wanted) -> rt::Task<void> {
    Dispatch dispatch(f.pool, f.call, wanted, f.request);
    f.exchange.on_client_gone([&dispatch] { dispatch.cancel(); });
    rt::Timer leaving(f.loop);
    leaving.arm_in(10ms, [&] { f.exchange.leave(); });
    auto won = co_await dispatch.run();
    EXPECT_FALSE(won.has_value());
    if (!won) EXPECT_EQ(won.error().error.code, Errc::cancelled);
    rt::Sleep settle(f.loop, 20ms);
    co_await settle;
  };
  run(task(*this, route({"silent", "plain"}, 3)));
  EXPECT_THAT(asked, ElementsAre("silent")) << "nobody is asked for a client that is gone";
  EXPECT_EQ(left, 1) << "the upstream learns that nobody wants its answer";
}

TEST_F(Upstreams, EndsTheUpstreamCallWhenTheClientLeavesWithinTheStream) {
  request.stream = true;
  auto task = [](Upstreams& f, std::shared_ptr<const Route> wanted) -> rt::Task<void> {
    Dispatch dispatch(f.pool, f.call, wanted, f.request);
    auto won = co_await dispatch.run();
    EXPECT_TRUE(won.has_value());
    if (!won) co_return;
    rt::Timer leaving(f.loop);
    leaving.arm_in(10ms, [&] { (*won)->cancel(); });
    Result<std::optional<std::string_view>> event;
    do event = co_await next_event(**won);
    while (event && event->has_value());
    EXPECT_FALSE(event.has_value());
    if (!event) EXPECT_EQ(event.error().code, Errc::cancelled);
    won->reset();
    rt::Sleep settle(f.loop, 20ms);
    co_await settle;
  };
  run(task(*this, route({"stream-stalls"})));
  EXPECT_EQ(left, 1);
}

TEST_F(Upstreams, DoesNotAskForAClientThatIsGoneAlready) {
  exchange.leave();
  Outcome outcome = dispatch(route({"plain"}));
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->error.code, Errc::cancelled);
  EXPECT_TRUE(asked.empty());
  EXPECT_EQ(call.event.attempts, 0);
}

}  // namespace
}  // namespace penstock::llm
