#include "llm/translation.h"

#include <gmock/gmock.h>

#include "llm/estimate.h"
#include "llm/test/fake_provider.h"

namespace penstock::llm {
namespace {

// One byte, one call: 'b' begin, 't' text, 'T' thought, 'f' finish, 'F' the model failed, 'u' usage, '!' error, '.'
// end,
// '?' nonsense.
class FakeReader : public chat::StreamReader {
 public:
  Result<void> feed(std::string_view bytes, chat::StreamSink& sink) override {
    for (char c : bytes) {
      switch (c) {
        case 'b': sink.begin({}); break;
        case 't': sink.text(0, "word"); break;
        case 'T': sink.thinking(0, "hm"); break;
        case 'f': sink.finish(0, chat::Finish::stop, {}); break;
        case 'F': sink.finish(0, chat::Finish::error, {}); break;
        case 'u': sink.usage({.known = true, .input = 3, .output = 4}); break;
        case '!': sink.error({.status = 529, .message = "busy"}); break;
        case '.': sink.end(); break;
        default: return fail(Errc::protocol_error, "nonsense");
      }
    }
    return {};
  }
  Result<void> finish(chat::StreamSink&) override { return {}; }
};

class FakeWriter : public chat::StreamWriter {
 public:
  void begin(const chat::StreamHead& head) override {
    output_ += fmt::format("begin {} {} {};", head.id, head.model, head.created);
  }
  void text(int, std::string_view text) override { output_ += text; }
  void citation(int, const chat::Citation&) override {}
  void refusal(int, std::string_view text) override { output_ += text; }
  void thinking(int, std::string_view text) override { output_ += text; }
  void thinking_end(int, const chat::Signature&, bool) override {}
  void media(int, const chat::Media&) override {}
  void call(int, int, std::string_view, std::string_view, const chat::Signature&) override {}
  void arguments(int, int, std::string_view text) override { output_ += text; }
  void logprobs(int, const json::Value&) override {}
  void finish(int, chat::Finish finish, std::string_view) override { output_ += to_string(finish); }
  void usage(const Usage&) override { output_ += 'u'; }
  void error(const chat::ProviderError& error) override { output_ += "error " + error.message; }
  void end() override { output_ += "end"; }
};

class FakeCodec : public chat::ClientCodec {
 public:
  Family family() const override { return Family::anthropic; }
  Operation operation() const override { return Operation::chat; }
  Result<chat::Request> read_request(std::string_view) const override { return chat::Request{}; }
  std::string write_answer(const chat::Request&, const chat::Answer&) const override { return "answer"; }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request&) const override {
    return std::make_unique<FakeWriter>();
  }
  std::string_view field_name(chat::Field field) const override { return to_string(field); }
  std::string write_error(const chat::ProviderError& error) const override { return error.message; }
};

class StreamingProvider : public FakeProvider {
 public:
  StreamingProvider() : FakeProvider(http::ClientTimeouts{}) {}
  std::unique_ptr<chat::StreamReader> stream_reader(const chat::Request&) const override {
    return std::make_unique<FakeReader>();
  }
};

struct Translating : testing::Test {
  StreamingProvider provider;
  FakeCodec codec;
  chat::Request request;
  Translating() {
    request.id = "req-1";
    request.model = "asked";
    request.created = 7;
  }
  Translation translation{provider, codec, request};
  std::string after(std::string_view bytes) {
    EXPECT_TRUE(translation.feed(bytes).has_value());
    return std::exchange(translation.output(), "");
  }
};

TEST_F(Translating, FillsInWhatTheProviderLeavesOut) { EXPECT_EQ(after("b"), "begin req-1 asked 7;"); }

TEST_F(Translating, HasBegunWithTheFirstWordOrTheEnding) {
  after("bu");
  EXPECT_FALSE(translation.begun());
  after("T");
  EXPECT_TRUE(translation.begun());
  Translation other(provider, codec, request);
  ASSERT_TRUE(other.feed("bf"));
  EXPECT_TRUE(other.begun());
}

TEST_F(Translating, AnErrorBeforeTheFirstWordIsNotTheClients) {
  EXPECT_EQ(after("b!"), "begin req-1 asked 7;");
  ASSERT_TRUE(translation.failure());
  EXPECT_EQ(translation.failure()->status, 529);
  EXPECT_FALSE(translation.begun());
}

TEST_F(Translating, AnErrorWithinTheAnswerIsSaidOnceAndNothingComesBehindIt) {
  EXPECT_EQ(after("bt"), "begin req-1 asked 7;word");
  EXPECT_EQ(after("!!."), "error busy");
  EXPECT_TRUE(translation.ended());
}

TEST_F(Translating, AModelThatFailedIsNoSuccess) {
  after("bt");
  EXPECT_THAT(after("F."), testing::StartsWith("error the model failed"));
  EXPECT_TRUE(translation.failure());
}

TEST_F(Translating, CountsWhatWasSaid) {
  EXPECT_EQ(after("bttTuf."), "begin req-1 asked 7;wordwordhmustopend");
  EXPECT_EQ(translation.pieces(), 3U);
  EXPECT_EQ(translation.content_bytes(), 10U);
  EXPECT_EQ(translation.usage().output, 4);
  EXPECT_FALSE(translation.failure());
}

TEST_F(Translating, PassesOnThatItCannotRead) { EXPECT_FALSE(translation.feed("b?")); }

TEST(Estimate, CountsEveryPartOfARequest) {
  chat::Request request;
  request.messages = {{.role = chat::Role::user, .parts = {{chat::Text{std::string(400, 'x')}}}}};
  EXPECT_EQ(estimate_tokens(request), 107);
  request.messages[0].parts.push_back({chat::Media{.data = "AAAA"}});
  EXPECT_EQ(estimate_tokens(request), 1107);
  request.tools = {{.name = "f", .description = "d", .schema = json::Object{{"type", "object"}}}};
  EXPECT_GT(estimate_tokens(request), 1107);
}

}  // namespace
}  // namespace penstock::llm
