#include "ext/providers/ollama/ollama_provider.h"

#include <gmock/gmock.h>

namespace penstock::ext {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const OllamaProvider& provider() {
  static const OllamaProvider instance([] {
    OllamaProvider::Options options;
    http::Origin origin;
    origin.url = *net::parse_http_url("http://127.0.0.1:11434");
    options.origin = std::make_shared<const http::Origin>(std::move(origin));
    options.api_key = base::Secret("key-1");
    return options;
  }());
  return instance;
}

// --- its own dialect ---

struct Sent {
  std::string head;
  std::string body;
};

Sent send(llm::Operation operation, std::string body, bool stream = false) {
  constexpr std::array<std::string_view, 1> kNames{"model"};
  auto peeked = json::peek(body, kNames);
  llm::Request request;
  request.family = llm::Family::ollama;
  request.operation = operation;
  request.body = body;
  request.model = peeked->fields[0];
  request.stream = stream;
  auto upstream = provider().encode(request, "real:8b", "id-1");
  EXPECT_TRUE(upstream.has_value());
  return {*upstream->head, upstream->body.joined()};
}

TEST(OllamaProviderEncode, ReplacesNothingButTheModel) {
  Sent sent = send(llm::Operation::chat, R"({ "model":"chat", "messages":[],"options":{"num_ctx":1} })");
  EXPECT_EQ(sent.body, R"({ "model":"real:8b", "messages":[],"options":{"num_ctx":1} })");
  EXPECT_THAT(sent.head, StartsWith("POST /api/chat HTTP/1.1\r\nhost: 127.0.0.1:11434\r\n"));
  for (std::string line : {"authorization: Bearer key-1\r\n", "x-request-id: id-1\r\n", "accept: application/json\r\n",
                           "content-type: application/json\r\n"}) {
    EXPECT_THAT(sent.head, HasSubstr(line));
  }
  EXPECT_THAT(sent.head, HasSubstr(fmt::format("content-length: {}\r\n", sent.body.size())));
  EXPECT_EQ(send(llm::Operation::chat, R"({"model":"real:8b"})").body, R"({"model":"real:8b"})");
}

TEST(OllamaProviderEncode, KnowsThePaths) {
  EXPECT_THAT(send(llm::Operation::completions, R"({"model":"a","prompt":"b"})", true).head,
              testing::AllOf(StartsWith("POST /api/generate "), HasSubstr("accept: application/x-ndjson\r\n")));
  EXPECT_THAT(send(llm::Operation::embeddings, R"({"model":"a","input":"b"})").head, StartsWith("POST /api/embed "));
  EXPECT_THAT(send(llm::Operation::embeddings, R"({"model":"a","prompt":"b"})").head,
              StartsWith("POST /api/embeddings "));
}

TEST(OllamaProviderRead, CountsTheUsageOfAnswers) {
  auto usage = provider().read_answer(llm::Operation::chat, R"({"prompt_eval_count":26,"eval_count":259,"done":true})");
  EXPECT_EQ(*usage, (llm::Usage{.known = true, .input = 26, .output = 259}));
  EXPECT_EQ(*provider().read_answer(llm::Operation::chat, R"({"eval_count":3})"),
            (llm::Usage{.known = true, .output = 3, .input_known = false}));
  EXPECT_FALSE(provider().read_answer(llm::Operation::embeddings, R"({"embedding":[1]})")->known);
  EXPECT_FALSE(provider().read_answer(llm::Operation::chat, "[]").has_value());
  EXPECT_FALSE(provider().read_answer(llm::Operation::chat, "<html>").has_value());
}

llm::EventVerdict look(std::string_view line, llm::Usage& usage) {
  llm::Request request;
  return provider().read_event(request, {.raw = line, .data = line, .name = {}}, usage);
}

TEST(OllamaProviderRead, FindsTheEndOfAStream) {
  llm::Usage usage;
  EXPECT_FALSE(look(R"({"model":"m","message":{"role":"assistant","content":"hi"},"done":false})", usage).last);
  EXPECT_FALSE(look(R"({"message":{"content":"{\"done\":true,\"error\":1}"},"done":false})", usage).last);
  EXPECT_FALSE(
      look(R"({"message":{"tool_calls":[{"function":{"arguments":{"done":true}}}]},"done":false})", usage).last);
  EXPECT_FALSE(look("not JSON \"done\":true", usage).last);
  EXPECT_FALSE(usage.known);
  auto verdict = look(R"({"message":{"content":""}, "done" : true,"prompt_eval_count":5,"eval_count":7})", usage);
  EXPECT_TRUE(verdict.last && verdict.forward && !verdict.error);
  EXPECT_EQ(usage, (llm::Usage{.known = true, .input = 5, .output = 7}));
}

TEST(OllamaProviderRead, SeesErrorsWithinAStream) {
  llm::Usage usage;
  EXPECT_TRUE(look(R"({"error":"an error was encountered while running the model"})", usage).error);
  EXPECT_FALSE(look(R"({"message":{"content":"an \"error\":1"},"done":false})", usage).error);
  EXPECT_FALSE(look(R"({"error":null,"done":false})", usage).error);
}

// --- other dialects ---

chat::Request question() {
  chat::Request request;
  request.model = "chat";
  request.id = "req-1";
  request.messages.push_back({.role = chat::Role::user, .parts = {{.content = chat::Text{"hi"}}}});
  return request;
}

std::string encoded(const chat::Request& request, std::string_view model = "m") {
  chat::Dropped dropped;
  auto upstream = provider().encode(request, model, "id", dropped);
  return upstream ? upstream->body.joined() : upstream.error().detail;
}

TEST(OllamaProviderTranslate, TellsOnlyModelsWithLevelsHowMuchToThink) {
  struct Case {
    chat::Reasoning reasoning;
    const char* plain;
    const char* levels;
  };
  for (const Case& each : {Case{{.on = true}, R"("think":true)", R"("think":"medium")"},
                           Case{{.effort = "minimal"}, R"("think":true)", R"("think":"low")"},
                           Case{{.effort = "xhigh"}, R"("think":true)", R"("think":"high")"},
                           Case{{.budget_tokens = 2000}, R"("think":true)", R"("think":"low")"},
                           Case{{.effort = "none"}, R"("think":false)", R"("think":false)"}}) {
    chat::Request request = question();
    request.reasoning = each.reasoning;
    EXPECT_THAT(encoded(request, "qwen3:8b"), HasSubstr(each.plain));
    EXPECT_THAT(encoded(request, "gpt-oss:20b"), HasSubstr(each.levels));
  }
  EXPECT_THAT(encoded(question()), testing::Not(HasSubstr("think")));
}

TEST(OllamaProviderTranslate, RefusesWhatMakesNoSense) {
  chat::Request request = question();
  request.tool_choice = {.mode = chat::ToolChoice::Mode::one, .name = "absent"};
  request.tools.push_back({.name = "there"});
  EXPECT_THAT(encoded(request), StartsWith("tool_choice: "));
  request = question();
  request.messages.push_back(
      {.role = chat::Role::assistant, .parts = {{.content = chat::ToolCall{"c", "add", "[1]"}}}});
  EXPECT_THAT(encoded(request), HasSubstr("the tool 'add' must be a JSON object"));
  request.messages.clear();
  EXPECT_THAT(encoded(request), StartsWith("messages: "));
}

TEST(OllamaProviderTranslate, KeepsNumbersOfArgumentsAsTheyAre) {
  chat::Request request = question();
  request.messages.push_back({.role = chat::Role::assistant,
                              .parts = {{.content = chat::ToolCall{"c", "add", R"({"n":12345678901234567890123})"}}}});
  EXPECT_THAT(encoded(request), HasSubstr(R"("arguments":{"n":12345678901234567890123})"));
}

std::string mistake(std::string_view body) {
  auto answer = provider().read_chat(question(), body);
  return answer ? "none" : answer.error().detail;
}

TEST(OllamaProviderAnswer, MalformedOnesAreErrors) {
  EXPECT_THAT(mistake("<html>"), HasSubstr("not Ollama's"));
  EXPECT_THAT(mistake("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(mistake(R"({"done":true})"), HasSubstr("message: must be an object"));
  EXPECT_THAT(mistake(R"({"message":{"content":"hi"}})"), HasSubstr("done: must be true"));
  EXPECT_THAT(mistake(R"({"message":{"tool_calls":[{}]},"done":true})"), HasSubstr("without function.name"));
  EXPECT_THAT(mistake(R"({"message":{"tool_calls":[{"function":{"name":"a","arguments":"{}"}}]},"done":true})"),
              HasSubstr("arguments must be an object"));
  EXPECT_THAT(mistake(R"({"error":"out of memory"})"), HasSubstr("reported an error: out of memory"));
  EXPECT_EQ(mistake(R"({"message":{"content":7,"images":[7],"thinking":[],"tool_calls":{}},"logprobs":1,"done":true})"),
            "none");
}

TEST(OllamaProviderAnswer, ReadsTimesWithAndWithoutAZone) {
  auto created = [](std::string_view time) {
    auto answer = provider().read_chat(
        question(), fmt::format(R"({{"created_at":"{}","message":{{"content":"x"}},"done":true}})", time));
    return answer ? answer->created : -1;
  };
  EXPECT_EQ(created("2023-11-14T22:13:20Z"), 1'700'000'000);
  EXPECT_EQ(created("2023-11-14T22:13:20.123456789Z"), 1'700'000'000);
  EXPECT_EQ(created("2023-11-14T15:13:20.5-07:00"), 1'700'000'000);
  EXPECT_EQ(created("2023-11-15T00:13:20+02:00"), 1'700'000'000);
  for (const char* none :
       {"", "yesterday", "2023-13-14T22:13:20Z", "2023-11-14 22:13:20Z", "2023-11-14T22:13:20+aa:00"})
    EXPECT_EQ(created(none), 0) << none;
}

// Everything but the text, to compare readings by.
std::string read_in_pieces(std::string_view bytes, std::size_t piece) {
  chat::Request request = question();
  auto reader = provider().stream_reader(request);
  chat::AnswerCollector out;
  Result<void> read;
  for (std::size_t at = 0; read && at < bytes.size(); at += piece) read = reader->feed(bytes.substr(at, piece), out);
  if (read) read = reader->finish(out);
  if (!read) return read.error().detail;
  if (out.failure()) return "error: " + out.failure()->message;
  std::string text;
  for (const chat::Part& part : out.answer().choices.at(0).parts) {
    if (const auto* call = std::get_if<chat::ToolCall>(&part.content))
      text += fmt::format("[{} {} {}]", call->id, call->name, call->arguments);
    if (const auto* plain = std::get_if<chat::Text>(&part.content)) text += plain->text;
  }
  return fmt::format("{} {} {}", text, chat::to_string(out.answer().choices[0].finish), out.answer().usage.output);
}

TEST(OllamaProviderStream, AnySplitReadsTheSame) {
  std::string bytes =
      R"({"model":"m","created_at":"2023-11-14T22:13:20Z","message":{"role":"assistant","content":"ä"},"done":false})"
      "\r\n\n"
      R"({"message":{"tool_calls":[{"id":"c1","function":{"name":"a","arguments":{"x":1}}},{"function":{"name":"b"}}]},"done":false})"
      "\n"
      R"({"message":{"content":""},"done":true,"done_reason":"stop","eval_count":3})";
  std::string whole = read_in_pieces(bytes, bytes.size());
  EXPECT_THAT(whole, testing::MatchesRegex(R"(ä\[c1 a \{"x":1\}\]\[call_[0-9a-f]{24} b \{\}\] tool_calls 3)"));
  for (std::size_t piece = 1; piece < 20; ++piece) EXPECT_EQ(read_in_pieces(bytes, piece), whole);
}

TEST(OllamaProviderStream, TakesLongLines) {
  std::string text(300'000, 'x');
  std::string bytes = fmt::format("{{\"message\":{{\"content\":\"{}\"}},\"done\":true,\"eval_count\":1}}\n", text);
  EXPECT_EQ(read_in_pieces(bytes, 65536), text + " none 1");
  EXPECT_THAT(read_in_pieces(std::string((8U << 20) + 1, 'x'), 1U << 20), HasSubstr("larger than 8 MiB"));
}

TEST(OllamaProviderStream, CutAndBrokenOnesAreErrors) {
  EXPECT_THAT(read_in_pieces("", 1), HasSubstr("ended before its last line"));
  EXPECT_THAT(read_in_pieces("{\"message\":{\"content\":\"x\"},\"done\":false}\n", 7),
              HasSubstr("before its last line"));
  EXPECT_THAT(read_in_pieces("{\"message\":{\"content\":\"x\"},\"do", 7), HasSubstr("not Ollama's"));
  EXPECT_THAT(read_in_pieces("[]\n", 1), HasSubstr("a line must be an object"));
  EXPECT_EQ(read_in_pieces("{\"message\":{\"content\":\"x\"}}\n{\"error\":\"no memory\"}\n{\"more", 5),
            "error: no memory");
}

TEST(OllamaProviderStream, LengthWinsOverCalls) {
  EXPECT_THAT(
      read_in_pieces(
          R"({"message":{"tool_calls":[{"function":{"name":"b"}}]},"done":true,"done_reason":"length","eval_count":9})",
          11),
      testing::EndsWith("length 9"));
}

TEST(OllamaProviderError, IsReadInEveryShape) {
  EXPECT_EQ(provider().read_error(404, R"({"error":"model 'x' not found"})").message, "model 'x' not found");
  EXPECT_EQ(provider().read_error(404, R"({"error":"x"})").code, "model_not_found");
  EXPECT_EQ(provider().read_error(400, R"({"error":{"message":"bad"}})").message, "bad");
  EXPECT_EQ(provider().read_error(400, "{}").type, "invalid_request_error");
  EXPECT_EQ(provider().read_error(503, "<html>").message, "");
  EXPECT_EQ(provider().read_error(503, "").type, "server_error");
  EXPECT_EQ(provider().read_error(429, "").type, "rate_limit_error");
  EXPECT_EQ(provider().read_error(401, "").type, "authentication_error");
}

// --- embeddings ---

std::string vectors(std::string_view body, std::size_t texts = 2) {
  chat::EmbeddingsRequest request;
  request.texts.assign(texts, "t");
  auto answer = provider().read_embeddings(request, body);
  if (!answer) return answer.error().detail;
  std::string text;
  for (const auto& vector : answer->vectors) text += fmt::format("[{}]", fmt::join(vector, " "));
  return fmt::format("{} {}", text, answer->usage.known ? answer->usage.input : -1);
}

TEST(OllamaProviderEmbeddings, ReadsVectorsInOrder) {
  EXPECT_EQ(vectors(R"({"model":"m","embeddings":[[0.5,-1],[2e0,0]],"prompt_eval_count":8,"total_duration":1})"),
            "[0.5 -1][2 0] 8");
  EXPECT_EQ(vectors(R"({"embeddings":[[],[]]})"), "[][] -1");
}

TEST(OllamaProviderEmbeddings, MalformedOnesAreErrors) {
  EXPECT_THAT(vectors(R"({"embeddings":[[1]]})"), HasSubstr("1 vectors for 2 texts"));
  EXPECT_THAT(vectors(R"({"embeddings":[["a"],[1]]})"), HasSubstr("not Ollama's"));
  EXPECT_THAT(vectors(R"({"embeddings":[1,2]})"), HasSubstr("not Ollama's"));
  EXPECT_THAT(vectors(R"({"embeddings":null})"), HasSubstr("0 vectors"));
  EXPECT_THAT(vectors("[]"), HasSubstr("not Ollama's"));
  EXPECT_THAT(vectors(R"({"embeddings":[[1],[2]])"), HasSubstr("not Ollama's"));
}

TEST(OllamaProviderEmbeddings, TakesNoTokenNumbers) {
  chat::EmbeddingsRequest request;
  request.tokens = {{1, 2}};
  chat::Dropped dropped;
  auto upstream = provider().encode(request, "m", "id", dropped);
  ASSERT_FALSE(upstream.has_value());
  EXPECT_THAT(upstream.error().detail, HasSubstr("input: "));
}

}  // namespace
}  // namespace penstock::ext
