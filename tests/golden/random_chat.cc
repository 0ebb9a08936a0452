#include "random_chat.h"

#include <fmt/format.h>

namespace penstock::golden {
namespace {

// The first bytes of a PNG file, and of other files: enough for whoever looks at them.
constexpr std::string_view kPng =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
constexpr std::string_view kJpeg =
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////wAALCAABAAEBAREA/8QAFAAB";
constexpr std::string_view kWav = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";
constexpr std::string_view kPdf = "JVBERi0xLjQKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyCjw8Pj4KJSVFT0YK";

constexpr std::string_view kTools[] = {"get_weather", "find_file", "add"};

}  // namespace

std::string RandomChat::word() {
  return std::string(one_of<std::string_view>({"pump", "valve", "Überdruck", "流量", "line-7", "42", "ok", "bar"}));
}

std::string RandomChat::text() {
  std::string text = word();
  for (std::size_t i = pick(8); i > 0; --i) {
    text += one_of<std::string_view>({" ", "\n", " \"", "\\", "\t", " 🚰 ", "</", "\n\ndata: [DONE]\n\n", "{}", "'",
                                      "\r\n", "\x01", "\u2028", "event: error\n"});
    text += word();
  }
  return text;
}

json::Value RandomChat::schema() {
  json::Object properties;
  for (std::size_t i = pick(4); i > 0; --i)
    properties[fmt::format("p{}", i)] =
        json::Object{{"type", one_of<std::string_view>({"string", "integer", "boolean"})}, {"description", word()}};
  json::Object object{{"type", "object"}, {"properties", properties}};
  if (!properties.empty()) object["required"] = json::Array{"p1"};
  return object;
}

json::Value RandomChat::arguments() {
  json::Object object;
  for (std::size_t i = pick(4); i > 0; --i) {
    json::Value value = sometimes() ? json::Value(text()) : sometimes() ? json::Value(pick(1000)) : json::Value(true);
    if (sometimes(4)) value = json::Array{1, "two", json::Object{{"three", nullptr}}};
    object[fmt::format("p{}", i)] = value;
  }
  return object;
}

chat::Media RandomChat::media() {
  using Kind = chat::Media::Kind;
  switch (pick(6)) {
    case 0: return {.kind = Kind::image, .type = "image/png", .data = std::string(kPng)};
    case 1: return {.kind = Kind::image, .type = "image/jpeg", .data = std::string(kJpeg), .detail = "low"};
    case 2: return {.kind = Kind::image, .url = "https://pictures.example/pump.png?size=1&x=%20"};
    case 3: return {.kind = Kind::audio, .type = "audio/wav", .data = std::string(kWav)};
    case 4: return {.kind = Kind::document, .type = "application/pdf", .data = std::string(kPdf), .name = "plan.pdf"};
    default: return {.kind = Kind::image, .type = "image/png", .data = std::string(kPng), .detail = "high"};
  }
}

chat::Part RandomChat::thinking() {
  chat::Thinking thinking{.text = text(), .signature = {}};
  if (!sometimes()) thinking.signature = {fmt::format("seal+{}/{}==", pick(1000), pick(1000)), family_};
  return {.content = thinking};
}

chat::Part RandomChat::call() {
  chat::ToolCall call{.id = fmt::format("call_{}", ++calls_),
                      .name = std::string(kTools[pick(std::size(kTools))]),
                      .arguments = json::dump(arguments())};
  return {.content = call};
}

chat::Message RandomChat::user() {
  chat::Message message{.role = chat::Role::user};
  message.parts.push_back({.content = chat::Text{text()}});
  for (std::size_t i = pick(3); i > 0 && sometimes(2); --i) message.parts.push_back({.content = media()});
  if (sometimes(6)) message.parts.back().cache = one_of<std::string_view>({"5m", "1h"});
  return message;
}

chat::Message RandomChat::assistant(bool with_calls) {
  chat::Message message{.role = chat::Role::assistant};
  if (sometimes()) message.parts.push_back(thinking());
  if (!with_calls || sometimes(2)) message.parts.push_back({.content = chat::Text{text()}});
  if (!with_calls) return message;
  for (std::size_t i = 1 + pick(3); i > 0; --i) message.parts.push_back(call());
  return message;
}

chat::Message RandomChat::results(const chat::Message& calls) {
  chat::Message message{.role = chat::Role::tool};
  for (const chat::Part& part : calls.parts) {
    const auto* call = std::get_if<chat::ToolCall>(&part.content);
    if (call == nullptr) continue;
    chat::ToolResult result{.id = call->id, .name = call->name};
    result.content.emplace_back(chat::Text{sometimes() ? json::dump(json::Object{{"reading", arguments()}}) : text()});
    if (sometimes(8)) result.content.emplace_back(chat::Media{.type = "image/png", .data = std::string(kPng)});
    result.error = sometimes(6);
    message.parts.push_back({.content = result});
  }
  return message;
}

void RandomChat::add_tools(chat::Request& request) {
  for (std::string_view name : kTools) {
    chat::Tool tool{.name = std::string(name), .description = sometimes() ? "" : text(), .schema = schema()};
    if (sometimes(6)) tool.strict = true;
    if (sometimes(8)) tool.cache = "5m";
    request.tools.push_back(tool);
  }
  using Mode = chat::ToolChoice::Mode;
  if (sometimes()) request.tool_choice.mode = one_of({Mode::automatic, Mode::none, Mode::required, Mode::one});
  if (request.tool_choice.mode == Mode::one) request.tool_choice.name = kTools[0];
  if (sometimes()) request.parallel_tool_calls = sometimes(2);
}

void RandomChat::add_sampling(chat::Request& request) {
  auto fraction = [&] { return static_cast<double>(pick(101)) / 100; };
  if (sometimes()) request.temperature = fraction() * 2;
  if (sometimes()) request.top_p = fraction();
  if (sometimes(6)) request.min_p = fraction();
  if (sometimes()) request.frequency_penalty = fraction();
  if (sometimes()) request.presence_penalty = -fraction();
  if (sometimes(6)) request.repeat_penalty = 1 + fraction();
  if (sometimes()) request.top_k = static_cast<std::int64_t>(1 + pick(100));
  if (sometimes()) request.seed = static_cast<std::int64_t>(pick(1'000'000));
  if (sometimes(6)) request.logit_bias["50256"] = -100;
  if (sometimes(5)) {
    request.logprobs = true;
    if (sometimes(2)) request.top_logprobs = static_cast<std::int64_t>(1 + pick(5));
  }
}

void RandomChat::add_parameters(chat::Request& request) {
  if (sometimes(2)) request.max_output_tokens = static_cast<std::int64_t>(40'000 + pick(1000));
  if (sometimes(6)) request.n = static_cast<std::int64_t>(2 + pick(2));
  for (std::size_t i = pick(4); i > 0 && sometimes(2); --i) request.stop.push_back(fmt::format("END{}\n", i));
  if (sometimes(4)) {
    request.format.kind = one_of({chat::OutputFormat::Kind::json, chat::OutputFormat::Kind::schema});
    if (request.format.kind == chat::OutputFormat::Kind::schema) {
      request.format.name = "reading";
      request.format.schema = schema();
      if (sometimes(2)) request.format.strict = true;
    }
  }
  if (sometimes(4)) request.reasoning.effort = one_of<std::string_view>({"none", "low", "medium", "high"});
  if (sometimes(8)) request.verbosity = "low";
  if (sometimes(8)) request.service_tier = one_of<std::string_view>({"auto", "default", "flex"});
  if (sometimes(6)) request.user = "user-17";
  if (sometimes(8)) request.metadata["line"] = word();
}

chat::Request RandomChat::request() {
  chat::Request request;
  request.model = "m";
  request.id = "req-1";
  request.created = 1'700'000'000;
  if (sometimes(2))
    request.messages.push_back(
        {.role = one_of({chat::Role::system, chat::Role::developer}), .parts = {{.content = chat::Text{text()}}}});
  bool with_tools = sometimes(2);
  for (std::size_t i = pick(3); i > 0; --i) {
    request.messages.push_back(user());
    if (with_tools && sometimes(2)) {
      chat::Message calls = assistant(true);
      request.messages.push_back(calls);
      request.messages.push_back(results(calls));
    }
    request.messages.push_back(assistant(false));
  }
  request.messages.push_back(user());
  if (with_tools) add_tools(request);
  add_sampling(request);
  add_parameters(request);
  request.stream = sometimes(2);
  return request;
}

chat::Choice RandomChat::choice() {
  using chat::Finish;
  chat::Choice choice;
  if (sometimes()) choice.parts.push_back(thinking());
  if (!sometimes(4)) choice.parts.push_back({.content = chat::Text{text()}});
  choice.finish = one_of({Finish::stop, Finish::length, Finish::stop_sequence, Finish::content_filter});
  if (sometimes()) {
    for (std::size_t i = 1 + pick(3); i > 0; --i) choice.parts.push_back(call());
    choice.finish = Finish::tool_calls;
  }
  if (choice.parts.empty()) choice.parts.push_back({.content = chat::Text{text()}});
  if (choice.finish == Finish::stop_sequence) choice.stop_sequence = "END";
  return choice;
}

chat::Answer RandomChat::answer() {
  chat::Answer answer;
  answer.id = fmt::format("answer-{}", pick(1000));
  answer.model = "m-2";
  answer.created = 1'700'000'001;
  answer.choices.push_back(choice());
  auto tokens = [&](std::size_t most) { return static_cast<std::int64_t>(pick(most)); };
  chat::Usage& usage = answer.usage;
  usage.known = true;
  usage.input = 10'000 + tokens(1000);
  usage.output = 5'000 + tokens(1000);
  if (sometimes()) usage.cached = 1 + tokens(1000);
  if (sometimes()) usage.cache_write = 1 + tokens(1000);
  if (sometimes()) usage.reasoning = 1 + tokens(1000);
  return answer;
}

}  // namespace penstock::golden
