#include "wire/h2_session.h"

#include <gmock/gmock.h>

#include <map>

namespace penstock::wire {
namespace {

using testing::HasSubstr;

// Keeps what it hears and sends what the test gives it.
struct Stream : H2Stream {
  void on_head(H2Head& head) override { heads.push_back(std::move(head)); }
  void on_data(std::string_view bytes) override { body += bytes; }
  void on_trailers(Fields& fields) override { trailers = std::move(fields); }
  void on_end() override { ended = true; }
  void on_closed(H2Error error) override { closed = error; }
  H2Data take_data(std::span<char> room) override {
    std::size_t size = std::min(room.size(), to_send.size());
    std::copy_n(to_send.begin(), size, room.begin());
    to_send.erase(0, size);
    return {size, finish && to_send.empty(), trailers_to_send};
  }

  std::vector<H2Head> heads;
  std::string body;
  Fields trailers;
  bool ended = false;
  std::optional<H2Error> closed;
  std::string to_send;
  bool finish = true;
  std::vector<H2Field> trailers_to_send;
};

struct Peer : H2Owner {
  Peer(H2Session::Side side, const H2Limits& limits) : session(side, limits, *this) {}
  void on_request(std::int32_t id, H2Head& head) override {
    auto& stream = streams[id];
    stream.heads.push_back(std::move(head));
    session.attach(id, stream);
    last = id;
  }
  void on_frame(H2FrameType type, bool, std::size_t) override { ++frames[type]; }
  void on_forced_reset(std::int32_t) override { ++forced_resets; }
  void on_goaway(std::int32_t last_stream, H2Error error) override { goaway = {last_stream, error}; }
  void on_settings() override { settings = true; }

  std::map<std::int32_t, Stream> streams;
  std::int32_t last = 0;
  std::map<H2FrameType, int> frames;
  int forced_resets = 0;
  std::optional<std::pair<std::int32_t, H2Error>> goaway;
  bool settings = false;
  H2Session session;
};

constexpr H2Field kMethod{":method", "POST"};
constexpr H2Field kScheme{":scheme", "http"};
constexpr H2Field kPath{":path", "/v1/chat?x=1"};
constexpr H2Field kAuthority{":authority", "example.org"};

class H2SessionTest : public testing::Test {
 protected:
  static constexpr std::size_t kNoLimit = 1U << 30;
  static std::string pull(Peer& peer) {
    std::string out;
    peer.session.pull(out, kNoLimit);
    return out;
  }
  // Carries bytes both ways, `step` at a time, until both have nothing more to say.
  void talk(std::size_t step = kNoLimit) {
    for (bool more = true; more;) {
      more = carry(client, server, step);
      more = carry(server, client, step) || more;
    }
  }
  static bool carry(Peer& from, Peer& to, std::size_t step) {
    std::string bytes = pull(from);
    for (std::size_t at = 0; at < bytes.size(); at += step) to.session.feed(std::string_view(bytes).substr(at, step));
    return !bytes.empty();
  }
  // A frame as it is written on the wire.
  static std::string frame(int type, int flags, int stream, std::string_view payload) {
    auto size = payload.size();
    std::string out;
    for (int shift : {16, 8, 0}) out += static_cast<char>(size >> shift);
    out += static_cast<char>(type);
    out += static_cast<char>(flags);
    for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
    return out.append(payload);
  }

  H2Limits limits;
  Peer client{H2Session::Side::client, limits};
  Peer server{H2Session::Side::server, limits};
  Stream call;
};

TEST_F(H2SessionTest, CarriesAMessageBothWays) {
  for (std::size_t step : {std::size_t{1}, std::size_t{7}, kNoLimit}) {
    Stream mine;
    mine.to_send = "question";
    std::int32_t id =
        client.session.request(std::array{kMethod, kScheme, kAuthority, kPath, H2Field{"x-a", "b"}}, true, mine);
    talk(step);
    ASSERT_EQ(server.last, id);
    Stream& theirs = server.streams[id];
    EXPECT_EQ(theirs.heads[0].method, "POST");
    EXPECT_EQ(theirs.heads[0].path, "/v1/chat?x=1");
    EXPECT_EQ(theirs.heads[0].fields.get(FieldId::host), "example.org");
    EXPECT_EQ(theirs.heads[0].fields.get("x-a"), "b");
    EXPECT_EQ(theirs.body, "question");
    EXPECT_TRUE(theirs.ended);
    theirs.to_send = "answer";
    theirs.trailers_to_send = {{"grpc-status", "0"}};
    server.session.inform(id, 103);
    server.session.respond(id, 200, std::array{H2Field{"content-type", "text/plain"}}, true);
    talk(step);
    ASSERT_EQ(mine.heads.size(), 2U);
    EXPECT_EQ(mine.heads[0].status, 103);
    EXPECT_EQ(mine.heads[1].status, 200);
    EXPECT_EQ(mine.heads[1].fields.get(FieldId::content_type), "text/plain");
    EXPECT_EQ(mine.body, "answer");
    EXPECT_EQ(mine.trailers.get("grpc-status"), "0");
    EXPECT_TRUE(mine.ended);
    EXPECT_EQ(mine.closed, H2Error::no_error);
    EXPECT_EQ(theirs.closed, H2Error::no_error);
  }
}

TEST_F(H2SessionTest, GivesNoMoreThanTheWindowUntilItIsConsumed) {
  call.to_send = std::string(limits.stream_window_bytes + 1000, 'x');
  std::int32_t id = client.session.request(std::array{kMethod, kScheme, kAuthority, kPath}, true, call);
  talk();
  EXPECT_LE(server.streams[id].body.size(), limits.stream_window_bytes);
  EXPECT_FALSE(server.streams[id].ended);
  while (!server.streams[id].ended) {
    std::size_t held = std::exchange(server.streams[id].body, {}).size();
    ASSERT_GT(held, 0U);
    server.session.consume(id, held);
    talk();
  }
  EXPECT_TRUE(call.to_send.empty());
}

TEST_F(H2SessionTest, WaitsForDataUntilItIsResumed) {
  call.finish = false;
  std::int32_t id = client.session.request(std::array{kMethod, kScheme, kAuthority, kPath}, true, call);
  talk();
  EXPECT_FALSE(server.streams[id].ended);
  call.to_send = "late";
  call.finish = true;
  client.session.resume(id);
  talk();
  EXPECT_EQ(server.streams[id].body, "late");
  EXPECT_TRUE(server.streams[id].ended);
}

TEST_F(H2SessionTest, TellsAResetToTheOtherSideOnly) {
  call.finish = false;
  std::int32_t id = client.session.request(std::array{kMethod, kScheme, kAuthority, kPath}, true, call);
  talk();
  client.session.reset(id, H2Error::cancel);
  talk();
  EXPECT_EQ(server.streams[id].closed, H2Error::cancel);
  EXPECT_EQ(call.closed, H2Error::cancel);
  EXPECT_EQ(client.forced_resets, 0);
  EXPECT_EQ(server.forced_resets, 0);
}

TEST_F(H2SessionTest, ResetsWhatTheRulesForbidAndSaysSo) {
  for (H2Field field : {H2Field{"connection", "close"},
                        {"transfer-encoding", "chunked"},
                        {"te", "gzip"},
                        {"keep-alive", "1"},
                        {"upgrade", "x"},
                        {"host", "elsewhere.org"},
                        {"x", "a\nb"}}) {
    int before = server.forced_resets;
    Stream mine;
    client.session.request(std::array{kMethod, kScheme, kAuthority, kPath, field}, false, mine);
    talk();
    EXPECT_EQ(server.forced_resets, before + 1) << field.name;
    EXPECT_EQ(mine.closed, H2Error::protocol_error) << field.name;
  }
  EXPECT_EQ(server.last, 0);
}

TEST_F(H2SessionTest, ChecksTheLengthAgainstTheData) {
  call.to_send = "four";
  std::int32_t id = client.session.request(
      std::array{kMethod, kScheme, kAuthority, kPath, H2Field{"content-length", "5"}}, true, call);
  talk();
  EXPECT_FALSE(server.streams[id].ended);
  EXPECT_EQ(call.closed, H2Error::protocol_error);
}

TEST_F(H2SessionTest, MarksAHeadOverTheLimit) {
  std::string value(limits.header_list_bytes_max, 'v');
  std::int32_t id =
      client.session.request(std::array{kMethod, kScheme, kAuthority, kPath, H2Field{"x-big", value}}, false, call);
  talk();
  ASSERT_EQ(server.last, id);
  EXPECT_TRUE(server.streams[id].heads[0].too_large);
  EXPECT_EQ(server.streams[id].heads[0].path, "/v1/chat?x=1");
}

TEST_F(H2SessionTest, EndsAConnectionThatSendsAHeaderBomb) {
  pull(client);
  pull(server);
  std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");
  ASSERT_TRUE(server.session.feed(preface));
  // A field of 4,000 bytes goes into the table once and is then named with one byte each time.
  std::string block = "\x82\x86\x84\x41\x01z";
  block += std::string("\x40\x01x\x7f\xa1\x1e", 6) + std::string(4000, 'v');
  block += std::string(10'000, '\xbe');
  server.session.feed(frame(1, 5, 1, block));
  EXPECT_THAT(server.session.defect(), HasSubstr("far larger"));
  EXPECT_EQ(server.last, 0);
  std::string out = pull(server);
  EXPECT_THAT(out, HasSubstr(std::string("\0\0\0\x0b", 4)));  // ENHANCE_YOUR_CALM
  EXPECT_TRUE(server.session.over());
}

TEST_F(H2SessionTest, RefusesWhatIsNoPreface) {
  EXPECT_FALSE(server.session.feed("GET / HTTP/1.1\r\n\r\n and more than the preface has"));
  EXPECT_FALSE(server.session.defect().empty());
}

TEST_F(H2SessionTest, AnnouncesTheEndAndFinishesWhatIsOpen) {
  call.finish = false;
  std::int32_t id = client.session.request(std::array{kMethod, kScheme, kAuthority, kPath}, true, call);
  talk();
  server.session.announce_shutdown();
  talk();
  EXPECT_EQ(client.goaway->second, H2Error::no_error);
  EXPECT_GT(client.goaway->first, id);
  server.session.goaway(H2Error::no_error);
  talk();
  EXPECT_EQ(client.goaway->first, id);
  call.finish = true;
  client.session.resume(id);
  server.streams[id].to_send = "done";
  server.session.respond(id, 200, {}, true);
  talk();
  EXPECT_EQ(call.body, "done");
  EXPECT_TRUE(server.session.over());
}

TEST_F(H2SessionTest, StopsAnsweringPingsNobodyReads) {
  talk();
  std::string ping = frame(6, 0, 0, "12345678");
  bool going = true;
  for (int i = 0; i < 200 && going; ++i) going = server.session.feed(ping);
  EXPECT_FALSE(going);
}

}  // namespace
}  // namespace penstock::wire
