#include "ext/apis/ollama/request_reader.h"

#include <gmock/gmock.h>

#include "ext/apis/ollama/ollama_codecs.h"

namespace penstock::ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A body of /api/chat with `more` members.
std::string chat_body(std::string_view more) {
  return fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"hi"}}]{}}})", more);
}

chat::Request read(const std::string& body) {
  auto request = read_ollama_chat(body);
  EXPECT_TRUE(request.has_value()) << request.error().detail;
  return request.value_or(chat::Request{});
}

std::string mistake(const std::string& body) {
  auto request = read_ollama_chat(body);
  return request ? "none" : request.error().detail;
}

std::string messages_mistake(std::string_view message) {
  return mistake(fmt::format(R"({{"model":"m","messages":[{}]}})", message));
}

TEST(OllamaChatReader, StreamsUnlessToldNotTo) {
  EXPECT_TRUE(read(chat_body("")).stream);
  EXPECT_TRUE(read(chat_body(R"(,"stream":null)")).stream);
  EXPECT_FALSE(read(chat_body(R"(,"stream":false)")).stream);
}

TEST(OllamaChatReader, ReadsOptions) {
  chat::Request request = read(chat_body(
      R"(,"options":{"num_predict":100,"temperature":0.5,"top_k":20.0,"top_p":0.9,"min_p":0,"seed":-1,"stop":["a","b"],
          "repeat_penalty":1.1,"presence_penalty":1.5,"frequency_penalty":1,"num_ctx":4096,"mirostat":null})"));
  EXPECT_EQ(request.max_output_tokens, 100);
  EXPECT_EQ(request.temperature, 0.5);
  EXPECT_EQ(request.top_k, 20);
  EXPECT_EQ(request.top_p, 0.9);
  EXPECT_EQ(request.min_p, 0);
  EXPECT_EQ(request.seed, -1);
  EXPECT_THAT(request.stop, ElementsAre("a", "b"));
  EXPECT_EQ(request.repeat_penalty, 1.1);
  EXPECT_EQ(request.presence_penalty, 1.5);
  EXPECT_EQ(request.frequency_penalty, 1);
  EXPECT_THAT(request.unread, ElementsAre("options.num_ctx"));
  EXPECT_EQ(read(chat_body(R"(,"options":{"num_predict":-1})")).max_output_tokens, std::nullopt);
}

TEST(OllamaChatReader, NamesWhatItCannotCarry) {
  EXPECT_THAT(read(chat_body(R"(,"keep_alive":"5m","truncate":false,"template":"","shift":null)")).unread,
              ElementsAre("keep_alive", "truncate"));
  chat::Request request = read(
      R"({"model":"m","messages":[{"role":"user","content":"hi","name":"x"}],"tools":[{"function":{"name":"a"},"items":[1]}]})");
  EXPECT_THAT(request.unread, ElementsAre("messages[0].name", "tools[0].items"));
}

TEST(OllamaChatReader, ReadsConversations) {
  chat::Request request = read(R"({"model":"m","messages":[
    {"role":"System","content":"be brief"},
    {"role":"user","content":"what is this?","images":["iVBORw0KGgo="]},
    {"role":"assistant","thinking":"hm","tool_calls":[{"function":{"name":"look","arguments":{"at":[1]}}}]},
    {"role":"tool","tool_name":"look","content":"a pump"},
    {"role":"assistant","content":"a pump"}]})");
  ASSERT_EQ(request.messages.size(), 5U);
  EXPECT_EQ(request.messages[0].role, chat::Role::system);
  const auto& image = std::get<chat::Media>(request.messages[1].parts.at(1).content);
  EXPECT_EQ(image.type, "image/png");
  EXPECT_EQ(image.data, "iVBORw0KGgo=");
  const auto& call = std::get<chat::ToolCall>(request.messages[2].parts.at(1).content);
  EXPECT_EQ(call.arguments, R"({"at":[1]})");
  EXPECT_FALSE(call.id.empty());
  const auto& result = std::get<chat::ToolResult>(request.messages[3].parts.at(0).content);
  EXPECT_EQ(result.id, call.id);
  EXPECT_EQ(result.name, "look");
  EXPECT_THAT(request.unread, IsEmpty());
}

TEST(OllamaChatReader, ReadsFormatAndThought) {
  EXPECT_EQ(read(chat_body(R"(,"format":"json")")).format.kind, chat::OutputFormat::Kind::json);
  EXPECT_EQ(read(chat_body(R"(,"format":{"type":"object"})")).format.kind, chat::OutputFormat::Kind::schema);
  EXPECT_EQ(read(chat_body(R"(,"format":"")")).format.kind, chat::OutputFormat::Kind::text);
  EXPECT_EQ(read(chat_body(R"(,"think":true)")).reasoning.on, true);
  EXPECT_EQ(read(chat_body(R"(,"think":true)")).reasoning.show, true);
  EXPECT_EQ(read(chat_body(R"(,"think":false)")).reasoning.show, std::nullopt);
  EXPECT_EQ(read(chat_body(R"(,"think":"high")")).reasoning.effort, "high");
  EXPECT_FALSE(read(chat_body("")).reasoning.said());
}

TEST(OllamaChatReader, MistakesNameTheirPlace) {
  EXPECT_THAT(mistake("[]"), HasSubstr("the body: must be an object"));
  EXPECT_THAT(mistake("{"), HasSubstr("JSON"));
  EXPECT_EQ(mistake(R"({"messages":[{"role":"user"}]})"), "model: must be the name of a model");
  EXPECT_EQ(mistake(R"({"model":"m","messages":[]})"), "messages: must be a list with at least one message");
  EXPECT_EQ(mistake(R"({"model":"m","messages":{}})"), "messages: must be a list");
  EXPECT_EQ(mistake(chat_body(R"(,"stream":"yes")")), "stream: must be true or false");
  EXPECT_EQ(mistake(chat_body(R"(,"format":"yaml")")), "format: must be \"json\" or a JSON schema");
  EXPECT_THAT(mistake(chat_body(R"(,"think":"a lot")")), HasSubstr("think: must be true"));
  EXPECT_EQ(mistake(chat_body(R"(,"options":[])")), "options: must be an object");
  EXPECT_EQ(mistake(chat_body(R"(,"options":{"top_k":0.5})")), "options.top_k: must be a whole number");
  EXPECT_EQ(mistake(chat_body(R"(,"options":{"seed":18446744073709551615})")), "options.seed: must be a whole number");
  EXPECT_EQ(mistake(chat_body(R"(,"options":{"temperature":"hot"})")), "options.temperature: must be a number");
  EXPECT_EQ(mistake(chat_body(R"(,"options":{"stop":"a"})")), "options.stop: must be a list");
  EXPECT_EQ(mistake(chat_body(R"(,"options":{"stop":["a",1]})")), "options.stop[1]: must be a string");
  EXPECT_EQ(mistake(chat_body(R"(,"top_logprobs":21)")), "top_logprobs: must be from 0 to 20");
  EXPECT_EQ(mistake(chat_body(R"(,"tools":[{"type":"function"}])")), "tools[0].function: must be an object");
  EXPECT_EQ(mistake(chat_body(R"(,"tools":[{"function":{}}])")), "tools[0].function.name: must be the name of a tool");
  EXPECT_EQ(mistake(chat_body(R"(,"tools":[{"type":"web","function":{"name":"a"}}])")),
            "tools[0].type: must be function");
  EXPECT_EQ(mistake(chat_body(R"(,"tools":[{"function":{"name":"a","parameters":[]}}])")),
            "tools[0].function.parameters: must be an object");
}

TEST(OllamaChatReader, MistakesInMessagesNameTheirPlace) {
  EXPECT_EQ(messages_mistake("7"), "messages[0]: must be an object");
  EXPECT_EQ(messages_mistake(R"({"role":"robot"})"), "messages[0].role: must be system, user, assistant or tool");
  EXPECT_EQ(messages_mistake(R"({"role":"user","content":[{"type":"text"}]})"),
            "messages[0].content: must be a string");
  EXPECT_EQ(messages_mistake(R"({"role":"user","images":["data:image/png;base64,AAAA"]})"),
            "messages[0].images[0]: must be base64, without a header or line ends");
  EXPECT_EQ(messages_mistake(R"({"role":"user","images":[7]})"), "messages[0].images[0]: must be a string");
  EXPECT_EQ(messages_mistake(R"({"role":"user","images":[""]})"),
            "messages[0].images[0]: must be base64, without a header or line ends");
  EXPECT_EQ(messages_mistake(R"({"role":"assistant","tool_calls":[{}]})"),
            "messages[0].tool_calls[0].function: must be an object");
  EXPECT_EQ(messages_mistake(R"({"role":"assistant","tool_calls":[{"function":{"name":"a","arguments":"{}"}}]})"),
            "messages[0].tool_calls[0].function.arguments: must be an object");
  EXPECT_EQ(messages_mistake(R"({"role":"tool","content":"x"})"),
            "messages[0]: is the result of a tool that no message before it calls");
}

chat::Request generate(const std::string& body) {
  auto request = read_ollama_generate(body);
  EXPECT_TRUE(request.has_value()) << request.error().detail;
  return request.value_or(chat::Request{});
}

std::string generate_mistake(const std::string& body) {
  auto request = read_ollama_generate(body);
  return request ? "none" : request.error().detail;
}

TEST(OllamaGenerateReader, MakesMessagesOfPrompts) {
  chat::Request request = generate(
      R"({"model":"m","prompt":"what is this?","system":"be brief","images":["iVBORw0KGgo="],"context":[1],"raw":true,"template":"t","suffix":""})");
  ASSERT_EQ(request.messages.size(), 2U);
  EXPECT_EQ(request.messages[0].role, chat::Role::system);
  EXPECT_EQ(std::get<chat::Text>(request.messages[1].parts.at(0).content).text, "what is this?");
  EXPECT_EQ(std::get<chat::Media>(request.messages[1].parts.at(1).content).type, "image/png");
  EXPECT_THAT(request.unread, testing::UnorderedElementsAre("raw", "context", "template"));
  EXPECT_THAT(generate(R"({"model":"m","prompt":"p","raw":false,"context":[]})").unread, IsEmpty());
}

TEST(OllamaGenerateReader, RefusesWhatOnlyOllamaCanDo) {
  EXPECT_THAT(generate_mistake(R"({"model":"m","prompt":"a","suffix":"b"})"), HasSubstr("suffix: "));
  EXPECT_EQ(generate_mistake(R"({"model":"m","prompt":7})"), "prompt: must be a string");
  EXPECT_EQ(generate_mistake(R"({"model":"m"})"), "prompt: must be a text");
}

TEST(OllamaEmbeddingsReader, ReadsBothForms) {
  auto one = OllamaEmbeddingsCodec(false).read_request(R"({"model":"m","input":"a","truncate":true,"dimensions":8})");
  ASSERT_TRUE(one.has_value()) << one.error().detail;
  EXPECT_THAT(one->texts, ElementsAre("a"));
  EXPECT_TRUE(one->single);
  EXPECT_EQ(one->dimensions, 8);
  EXPECT_THAT(one->unread, ElementsAre("truncate"));
  auto list = OllamaEmbeddingsCodec(false).read_request(R"({"model":"m","input":["a","b"]})");
  ASSERT_TRUE(list.has_value());
  EXPECT_THAT(list->texts, ElementsAre("a", "b"));
  auto old = OllamaEmbeddingsCodec(true).read_request(R"({"model":"m","prompt":"a"})");
  ASSERT_TRUE(old.has_value());
  EXPECT_THAT(old->texts, ElementsAre("a"));
  for (const char* body : {R"({"model":"m"})", R"({"model":"m","input":7})", R"({"model":"m","input":[]})",
                           R"({"model":"m","input":[[1]]})", R"({"input":"a"})", "7"})
    EXPECT_FALSE(OllamaEmbeddingsCodec(false).read_request(body).has_value()) << body;
  EXPECT_FALSE(OllamaEmbeddingsCodec(true).read_request(R"({"model":"m","prompt":["a"]})").has_value());
}

TEST(OllamaEmbeddingsWriter, WritesBothForms) {
  chat::EmbeddingsRequest request;
  request.model = "m";
  chat::EmbeddingsAnswer answer{.model = "x", .vectors = {{0.5F, -1}, {}}, .usage = {.known = true, .input = 4}};
  EXPECT_EQ(OllamaEmbeddingsCodec(false).write_answer(request, answer),
            R"({"model":"m","embeddings":[[0.5,-1],[]],"prompt_eval_count":4})");
  EXPECT_EQ(OllamaEmbeddingsCodec(true).write_answer(request, answer), R"({"embedding":[0.5,-1]})");
}

}  // namespace
}  // namespace penstock::ext
