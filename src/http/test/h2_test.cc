// The server's HTTP/2 side over loopback, asked by a client made of the same session.
#include <gmock/gmock.h>

#include <sys/socket.h>

#include <fcntl.h>

#include <map>

#include "http/server.h"
#include "net/acceptor.h"
#include "rt/await.h"
#include "wire/h2_session.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using wire::H2Error;
using wire::H2Field;

// "/echo" gives the body back, with its trailers; "/pieces" takes it in pieces; "/large" is 1 MB; "/slow" waits for the
// client to leave; "/refused" is 1 MB of refusal; "/broken" breaks off; "/silent" says nothing; all others say what was
// asked.
rt::Task<void> handle(Exchange& exchange) {
  std::string_view path = exchange.request().path;
  if (path == "/silent") co_return;
  if (path == "/slow") {
    rt::Event gone(exchange.loop());
    exchange.on_client_gone([&] { gone.set(); });
    co_await gone;
    co_return;
  }
  if (path == "/broken") {
    exchange.begin(ResponseHead(200));
    auto sent = co_await exchange.write("half");
    exchange.abort();
    co_return;
  }
  if (path == "/large" || path == "/refused") {
    std::string text(1'000'000, 'x');
    auto sent = co_await exchange.respond(ResponseHead(path == "/large" ? 200 : 403), text);
    co_return;
  }
  if (path == "/pieces") {
    std::size_t all = 0;
    while (true) {
      auto piece = co_await exchange.read_piece(UINT64_MAX);
      if (!piece) co_return;
      if (piece->empty()) break;
      all += piece->size();
    }
    auto sent = co_await exchange.respond(ResponseHead(200), fmt::format("{} bytes", all));
    co_return;
  }
  auto body = co_await exchange.read_body(1000);
  if (!body) co_return;
  if (path == "/echo") {
    exchange.begin(ResponseHead(200));
    exchange.append(*body);
    exchange.trailer("x-seen", exchange.trailers().get("x-sum"));
    auto sent = co_await exchange.finish();
    co_return;
  }
  const Request& request = exchange.request();
  std::string text = fmt::format("{} {} {} {}", request.method, request.path, request.query, request.field("host"));
  ResponseHead head(200);
  head.add("x-a", "b");
  auto sent = co_await exchange.respond(std::move(head), text);
}

struct Call : wire::H2Stream {
  void on_head(wire::H2Head& head) override {
    if (head.status < 200) {
      ++interim;
    } else {
      status = head.status;
      fields = std::move(head.fields);
    }
  }
  void on_data(std::string_view bytes) override {
    body += bytes;
    held += bytes.size();
  }
  void on_trailers(Fields& got) override { trailers = std::move(got); }
  void on_end() override {}
  void on_closed(H2Error error) override { closed = error; }
  wire::H2Data take_data(std::span<char> room) override {
    std::size_t size = std::min(room.size(), send.size());
    std::copy_n(send.begin(), size, room.begin());
    send.erase(0, size);
    return {size, finish && send.empty(), send_trailers};
  }
  int status = 0;
  int interim = 0;
  Fields fields;
  std::string body;
  std::size_t held = 0;
  Fields trailers;
  std::optional<H2Error> closed;
  std::string send;
  bool finish = true;
  std::vector<H2Field> send_trailers;
};

struct H2Server : testing::Test, wire::H2Owner {
  rt::Loop loop;
  ServerLimits limits = [] {
    ServerLimits l;
    l.head_timeout = l.body_timeout = l.write_timeout = 100ms;
    l.idle_timeout = 400ms;
    l.h2_streams_max = 4;
    return l;
  }();
  Server server{
      loop, handle,
      [](int status, std::string_view, const std::string& detail) { return fmt::format("{} {}", status, detail); },
      limits};
  std::shared_ptr<const ListenerOptions> listener = [] {
    ListenerOptions options;
    options.h2c = true;
    return std::make_shared<const ListenerOptions>(std::move(options));
  }();
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        server.accept(fd, peer, listener);
      }).value();
  wire::H2Session session{wire::H2Session::Side::client, {}, *this};
  std::unique_ptr<net::Stream> stream;
  std::optional<H2Error> goaway;
  std::vector<std::string> abuses;
  bool consuming = true;
  std::map<std::int32_t, Call*> calls;

  void on_goaway(std::int32_t, H2Error error) override { goaway = error; }

  std::int32_t ask(Call& call, std::string_view path, std::vector<H2Field> more = {}) {
    std::vector<H2Field> fields{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "there"}};
    fields.insert(fields.end(), more.begin(), more.end());
    std::int32_t id = session.request(fields, !call.send.empty() || !call.finish, call);
    calls[id] = &call;
    return id;
  }

  // Talks until `done`, the end of the connection or `patience`.
  rt::Task<void> talk(std::function<bool()> done, base::Duration patience) {
    base::SteadyTime end = std::chrono::steady_clock::now() + patience;
    std::string buffer(65536, '\0');
    while (true) {
      for (auto& [id, call] : calls) {
        if (consuming && call->held > 0) session.consume(id, std::exchange(call->held, 0));
      }
      std::string out;
      session.pull(out, 1U << 20);
      auto sent = co_await stream->write(out);
      if (!sent || done()) co_return;
      stream->set_deadline(end);
      auto got = co_await stream->read(buffer);
      if (!got || *got == 0) co_return;
      session.feed({buffer.data(), *got});
    }
  }

  void run(std::function<bool()> done, base::Duration patience = 5s) {
    auto body = [](H2Server& f, std::function<bool()> until, base::Duration time) -> rt::Task<void> {
      if (!f.stream) {
        int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        const auto& endpoint = f.acceptor->endpoint();
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        f.stream = std::make_unique<net::Stream>(f.loop, fd);
      }
      co_await f.talk(std::move(until), time);
      f.loop.stop();
    };
    rt::spawn(body(*this, std::move(done), patience));
    loop.run();
  }
  void TearDown() override {
    auto body = [](H2Server& f) -> rt::Task<void> {
      if (f.stream) f.stream->close();
      co_await f.server.drain(std::chrono::steady_clock::now() + 1s);
      f.loop.stop();
    };
    rt::spawn(body(*this));
    loop.run();
    EXPECT_EQ(server.connections(), 0U);
  }
};

TEST_F(H2Server, AnswersEveryStream) {
  std::array<Call, 3> asked;
  for (Call& call : asked) ask(call, "/a/b?c=d");
  run([&] { return asked[0].closed && asked[1].closed && asked[2].closed; });
  for (Call& call : asked) {
    EXPECT_EQ(call.status, 200);
    EXPECT_EQ(call.body, "POST /a/b c=d there");
    EXPECT_EQ(call.fields.get("x-a"), "b");
    EXPECT_EQ(call.fields.get("content-length"), "19");
    EXPECT_TRUE(call.fields.has("date"));
    EXPECT_EQ(call.closed, H2Error::no_error);
  }
}

TEST_F(H2Server, CarriesTrailersBothWays) {
  Call call;
  call.send = "hello";
  call.send_trailers = {{"x-sum", "42"}, {"authorization", "Bearer late"}};
  ask(call, "/echo", {{"expect", "100-continue"}});
  run([&] { return call.closed.has_value(); });
  EXPECT_EQ(call.body, "hello");
  EXPECT_EQ(call.trailers.get("x-seen"), "42");
}

TEST_F(H2Server, TellsAClientToGoOn) {
  Call call;
  call.finish = false;
  std::int32_t id = ask(call, "/echo", {{"expect", "100-continue"}});
  run([&] { return call.interim > 0; });
  call.finish = true;
  call.send = "hello";
  session.resume(id);
  run([&] { return call.closed.has_value(); });
  EXPECT_EQ(call.body, "hello");
}

TEST_F(H2Server, RefusesABodyThatIsTooLarge) {
  Call declared;
  declared.finish = false;
  ask(declared, "/echo", {{"content-length", "1001"}});
  Call grown;
  grown.send = std::string(1001, 'x');
  ask(grown, "/echo");
  run([&] { return declared.closed && grown.closed; });
  EXPECT_EQ(declared.status, 413);
  EXPECT_THAT(declared.body, HasSubstr("limit of 1000 bytes"));
  EXPECT_EQ(grown.status, 413);
}

TEST_F(H2Server, EndsABodyThatDoesNotCome) {
  Call call;
  call.finish = false;
  call.send = "a little";
  ask(call, "/echo");
  run([&] { return call.closed.has_value(); });
  EXPECT_EQ(call.status, 408);
}

TEST_F(H2Server, TakesALargeBodyInPieces) {
  Call call;
  call.send = std::string(3'000'000, 'x');
  ask(call, "/pieces");
  run([&] { return call.closed.has_value(); });
  EXPECT_EQ(call.body, "3000000 bytes");
}

TEST_F(H2Server, LetsASlowReaderHoldBackOnlyItself) {
  consuming = false;
  Call slow;
  std::int32_t id = ask(slow, "/large");
  run([&] { return slow.body.size() >= 256 * 1024; });
  Call quick;
  ask(quick, "/quick");
  run([&] { return quick.closed.has_value(); });
  EXPECT_EQ(quick.status, 200);
  EXPECT_FALSE(slow.closed);
  consuming = true;
  session.consume(id, std::exchange(slow.held, 0));
  run([&] { return slow.closed.has_value(); });
  EXPECT_EQ(slow.body.size(), 1'000'000U);
}

TEST_F(H2Server, ResetsAStreamThatTakesNothing) {
  consuming = false;
  Call stuck;
  ask(stuck, "/large");
  run([&] { return stuck.closed.has_value(); });
  EXPECT_EQ(stuck.closed, H2Error::cancel);
  Call quick;
  ask(quick, "/quick");
  run([&] { return quick.closed.has_value(); });
  EXPECT_EQ(quick.status, 200);
}

TEST_F(H2Server, WaitsForARefusalToBeTakenNotAsLongAsForAnAnswer) {
  limits.write_timeout = 1min;
  limits.refusal_timeout = 100ms;
  server.set_limits(limits);
  consuming = false;
  Call refused;
  ask(refused, "/refused");
  run([&] { return refused.closed.has_value(); });
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.closed, H2Error::cancel);
}

TEST_F(H2Server, TellsTheHandlerThatTheClientGaveUp) {
  std::array<Call, 4> slow;
  std::vector<std::int32_t> ids;
  for (Call& call : slow) ids.push_back(ask(call, "/slow"));
  Call probe;
  run([&] { return true; });
  for (std::int32_t id : ids) session.reset(id, H2Error::cancel);
  run([&] { return slow[3].closed.has_value(); });
  // All four places are free again, once their handlers have ended.
  run([] { return false; }, 20ms);
  ask(probe, "/probe");
  run([&] { return probe.closed.has_value(); });
  EXPECT_EQ(probe.status, 200);
}

TEST_F(H2Server, ResetsAnAnswerThatBreaksOff) {
  Call call;
  ask(call, "/broken");
  run([&] { return call.closed.has_value(); });
  EXPECT_EQ(call.body, "half");
  EXPECT_EQ(call.closed, H2Error::internal_error);
}

TEST_F(H2Server, AnswersForASilentHandler) {
  Call call;
  ask(call, "/silent");
  run([&] { return call.closed.has_value(); });
  EXPECT_EQ(call.status, 500);
}

TEST_F(H2Server, RefusesAHeadThatIsTooLarge) {
  std::string large(40'000, 'v');
  Call call;
  ask(call, "/", {{"x-large", large}});
  std::string path = "/" + std::string(9'000, 'p');
  Call far;
  ask(far, path);
  run([&] { return call.closed && far.closed; });
  EXPECT_EQ(call.status, 431);
  EXPECT_EQ(far.status, 414);
}

TEST_F(H2Server, EndsAnIdleConnection) {
  Call call;
  ask(call, "/");
  run([&] { return false; });
  EXPECT_EQ(call.status, 200);
  EXPECT_EQ(goaway, H2Error::no_error);
}

TEST_F(H2Server, FinishesWhatIsOpenWhenItDrains) {
  Call call;
  call.finish = false;
  std::int32_t id = ask(call, "/echo");
  run([&] { return session.remote_streams_max() == 4; });
  bool drained = false;
  rt::spawn(server.drain(std::chrono::steady_clock::now() + 3s), [&] { drained = true; });
  run([&] { return goaway.has_value(); });
  EXPECT_EQ(goaway, H2Error::no_error);
  call.send = "last";
  call.finish = true;
  session.resume(id);
  run([&] { return false; });
  stream->close();
  for (int turn = 0; turn < 1000 && !drained; ++turn) {
    rt::Timer timer(loop);
    timer.arm_in(5ms, [&] { loop.stop(); });
    loop.run();
  }
  EXPECT_TRUE(drained);
  EXPECT_EQ(call.status, 200);
  EXPECT_EQ(call.body, "last");
}

TEST_F(H2Server, CutsOffWhoResetsStreamAfterStream) {
  server.on_abuse([this](std::string_view what, const Peer&) { abuses.emplace_back(what); });
  std::vector<std::unique_ptr<Call>> many;
  for (int i = 0; i < 400 && !goaway; ++i) {
    many.push_back(std::make_unique<Call>());
    std::int32_t id = ask(*many.back(), "/slow");
    run([&] { return true; });
    session.reset(id, H2Error::cancel);
    run([&] { return true; });
  }
  run([&] { return goaway.has_value(); });
  EXPECT_EQ(goaway, H2Error::enhance_your_calm);
  EXPECT_EQ(abuses, std::vector<std::string>{"streams reset"});
}

}  // namespace
}  // namespace penstock::http
