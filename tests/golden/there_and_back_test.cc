// What a provider's half writes, the client's half of the same dialect reads, and the other way round. Whatever comes
// back differently was lost, and must be known to be: reported as dropped, or named here with its reason.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "json_difference.h"
#include "normal_form.h"
#include "random_chat.h"
#include "sides.h"

namespace penstock::golden {
namespace {

using chat::Family;
using chat::Field;

constexpr std::uint64_t kRounds = 300;

// Where a dropped field stands in the normal form of a request.
struct Place {
  Field field;
  std::string_view path;
};
constexpr Place kPlaces[] = {
    {Field::max_output_tokens, "max_output_tokens"},
    {Field::temperature, "temperature"},
    {Field::top_p, "top_p"},
    {Field::top_k, "top_k"},
    {Field::min_p, "min_p"},
    {Field::frequency_penalty, "frequency_penalty"},
    {Field::presence_penalty, "presence_penalty"},
    {Field::repeat_penalty, "repeat_penalty"},
    {Field::logit_bias, "logit_bias"},
    {Field::seed, "seed"},
    {Field::n, "n"},
    {Field::stop, "stop"},
    {Field::logprobs, "logprobs"},
    {Field::logprobs, "top_logprobs"},
    {Field::service_tier, "service_tier"},
    {Field::user, "user"},
    {Field::metadata, "metadata"},
    {Field::tool_choice, "tool_choice"},
    {Field::parallel_tool_calls, "parallel_tool_calls"},
    {Field::tool_strict, "tools[].strict"},
    {Field::response_format, "format"},
    {Field::reasoning, "reasoning"},
    {Field::verbosity, "verbosity"},
    {Field::thinking, "turns[].parts[].thinking"},
    {Field::thinking, "turns[].parts[].call.signature"},
    {Field::cache_control, "turns[].parts[].cache"},
    {Field::cache_control, "instructions[].cache"},
    {Field::cache_control, "tools[].cache"},
    {Field::image, "turns[].parts[].image"},
    {Field::image_url, "turns[].parts[].image_url"},
    {Field::image_detail, "turns[].parts[].image.detail"},
    {Field::image_detail, "turns[].parts[].image_url.detail"},
    {Field::audio, "turns[].parts[].audio"},
    {Field::document, "turns[].parts[].document"},
    {Field::tool_result_media, "turns[].parts[].result.content[].image"},
    {Field::tool_result_error, "turns[].parts[].result.error"},
};

// What a dialect has no field for and that needs no report: nothing is lost by it.
struct Loss {
  Family family;
  std::string_view path;
  std::string_view why;
};
constexpr Loss kRequestLosses[] = {
    {Family::openai, "turns[].parts[].result.name", "results are tied to calls by their ids"},
    {Family::anthropic, "turns[].parts[].result.name", "results are tied to calls by their ids"},
    {Family::anthropic, "max_output_tokens", "there must be one, and it counts thoughts, too"},
    {Family::anthropic, "format.name", "schemas have no names"},
    {Family::anthropic, "format.strict", "schemas are always kept to"},
    {Family::anthropic, "format.schema.additionalProperties", "the objects of answers are always closed"},
    {Family::gemini, "turns[].parts[].document.name", "files within a request have no names"},
    {Family::gemini, "parallel_tool_calls", "that there may be many is what it does"},
    {Family::gemini, "reasoning.show", "thoughts that are turned on are shown"},
    {Family::gemini, "service_tier", "auto is what it does"},
    {Family::gemini, "format.name", "the schema of an answer has no name"},
    {Family::gemini, "format.description", "the schema of an answer says itself what it is"},
    {Family::gemini, "format.strict", "a schema is always kept to"},
    {Family::ollama, "turns[].parts[].thinking.signature", "thoughts have no seals"},
    {Family::ollama, "format.name", "schemas have no names"},
    {Family::ollama, "format.strict", "schemas are always kept to"},
    {Family::ollama, "tool_choice", "auto is what it does, and none leaves the tools out"},
    {Family::ollama, "parallel_tool_calls", "that there may be many is what it does"},
};
constexpr Loss kAnswerLosses[] = {
    {Family::openai, "choices[].stop_sequence", "it does not say which one it was"},
    {Family::anthropic, "usage.reasoning", "it is part of the output, not counted apart"},
    {Family::gemini, "choices[].stop_sequence", "it does not say which one it was"},
    {Family::gemini, "usage.cache_write", "what is written to a cache is not counted"},
    {Family::ollama, "choices[].stop_sequence", "it does not say which one it was"},
    {Family::ollama, "id", "answers have none"},
    {Family::ollama, "choices[].parts[].thinking.signature", "thoughts have no seals"},
    {Family::ollama, "usage.cached", "caches are not counted"},
    {Family::ollama, "usage.cache_write", "caches are not counted"},
    {Family::ollama, "usage.reasoning", "it is part of the output, not counted apart"},
};

template <std::size_t kCount>
void forget(json::Value& form, Family family, const Loss (&losses)[kCount]) {
  for (const Loss& loss : losses) {
    if (loss.family == family) remove(form, loss.path);
  }
}

void forget(json::Value& form, const chat::Dropped& dropped) {
  for (const Place& place : kPlaces) {
    if (dropped.has(place.field)) remove(form, place.path);
  }
}

// Ollama has no choice of tools: those that may not be used are not mentioned.
void leave_out_unusable_tools(chat::Request& request) {
  using Mode = chat::ToolChoice::Mode;
  const chat::ToolChoice& choice = request.tool_choice;
  std::erase_if(request.tools, [&](const chat::Tool& tool) {
    return choice.mode == Mode::none || (choice.mode == Mode::one && tool.name != choice.name);
  });
}

// What a dialect says in quite another way, so that it cannot come back as it was; golden cases show these.
void fit(chat::Request& request, Family family) {
  // Media of a tool's result follow it in a message of their own.
  if (family == Family::openai || family == Family::gemini) {
    for (chat::Message& message : request.messages) {
      for (chat::Part& part : message.parts) {
        if (auto* result = std::get_if<chat::ToolResult>(&part.content)) result->content.resize(1);
      }
    }
  }
}

// OpenAI's tool messages hold text only: media come behind the results, in words of the user's.
void put_media_behind_results(chat::Request& request) {
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    chat::Message moved{.role = chat::Role::user};
    for (chat::Part& part : request.messages[i].parts) {
      auto* result = std::get_if<chat::ToolResult>(&part.content);
      if (result == nullptr) continue;
      std::size_t before = moved.parts.size();
      for (auto& item : result->content) {
        if (const auto* media = std::get_if<chat::Media>(&item)) moved.parts.push_back({.content = *media});
      }
      std::erase_if(result->content, [](const auto& item) { return std::holds_alternative<chat::Media>(item); });
      if (moved.parts.size() == before) continue;
      moved.parts.insert(moved.parts.begin() + static_cast<std::ptrdiff_t>(before),
                         {.content = chat::Text{fmt::format("Media of the tool result {}:", result->id)}});
    }
    if (moved.parts.empty()) continue;
    request.messages.insert(request.messages.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(moved));
  }
}

// Where a stream of this dialect may be cut and is still no whole one. A few bytes less than all are the whole end mark
// but for its line end; many servers of OpenAI's dialect leave the mark out, so that an answer is whole without it.
std::size_t cuts_of(Family family, std::string_view bytes) {
  if (family == Family::openai) return bytes.find(R"("finish_reason":")");
  return bytes.size() - std::min<std::size_t>(bytes.size(), 40);
}

// Anthropic has no format without a schema: a tool that must be called takes the object. That calls come one at a time
// is said with the choice of tools; that there may be many is what it does.
void say_as_anthropic(chat::Request& request) {
  using Mode = chat::ToolChoice::Mode;
  chat::ToolChoice& choice = request.tool_choice;
  bool forced = !request.tools.empty() && (choice.mode == Mode::required || choice.mode == Mode::one);
  if (request.format.kind == chat::OutputFormat::Kind::json && !forced) {
    bool others = !request.tools.empty() && choice.mode != Mode::none;
    choice = {.mode = others ? Mode::required : Mode::one, .name = others ? "" : "answer_in_json"};
    request.format = {};
    request.tools.push_back({.name = "answer_in_json",
                             .description = "Gives the answer, all of it.",
                             .schema = json::Object{{"type", "object"}, {"additionalProperties", true}}});
  }
  if (request.tools.empty() || choice.mode == Mode::none || request.parallel_tool_calls == true)
    request.parallel_tool_calls.reset();
  if (request.parallel_tool_calls && choice.mode == Mode::unset) choice.mode = Mode::automatic;
  // What would be so anyway need not be said.
  if (request.n == 1) request.n.reset();
  if (request.frequency_penalty == 0) request.frequency_penalty.reset();
  if (request.presence_penalty == 0) request.presence_penalty.reset();
  if (request.min_p == 0) request.min_p.reset();
  if (request.repeat_penalty == 1) request.repeat_penalty.reset();
  if (request.logprobs == false) request.logprobs.reset();
  if (request.top_p == 1 && request.temperature) request.top_p.reset();
  if (request.verbosity == "medium") request.verbosity.clear();
}

std::string names(const chat::Dropped& dropped) {
  std::string text;
  for (Field field : dropped.list()) text += fmt::format("{} ", chat::to_string(field));
  return text;
}

chat::Request question(bool stream) {
  chat::Request request;
  request.model = "m";
  request.stream = stream;
  request.id = "req-1";
  request.created = 1'700'000'000;
  request.reasoning.show = true;  // some tell their thoughts only then
  return request;
}

class ThereAndBack : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    std::string family(chat::to_string(GetParam()));
    codec_ = registry().find<chat::ClientCodecFactory>(family + ".chat") == nullptr
                 ? nullptr
                 : registry().find<chat::ClientCodecFactory>(family + ".chat")->make();
    ASSERT_NE(codec_, nullptr) << "no client speaks " << family;
    auto made = make_provider(family);
    ASSERT_TRUE(made.has_value()) << made.error().detail;
    provider_ = *made;
  }

  std::shared_ptr<const chat::ClientCodec> codec_;
  std::shared_ptr<const llm::Provider> provider_;
};

TEST_P(ThereAndBack, RequestsComeBackButForWhatIsReported) {
  for (std::uint64_t seed = 0; seed < kRounds && !HasFailure(); ++seed) {
    chat::Request request = RandomChat(seed, GetParam()).request();
    fit(request, GetParam());
    chat::Dropped dropped;
    auto upstream = provider_->encode(request, "m", "req-1", dropped);
    ASSERT_TRUE(upstream.has_value()) << "seed " << seed << ": " << upstream.error().detail;
    std::string body = upstream->body.joined();
    auto back = codec_->read_request(body);
    ASSERT_TRUE(back.has_value()) << "seed " << seed << ": " << back.error().detail << "\n" << body;
    EXPECT_TRUE(back->unread.empty()) << "seed " << seed << ": " << back->unread.front() << " is not read\n" << body;
    if (GetParam() == Family::ollama) leave_out_unusable_tools(request);
    if (GetParam() == Family::openai) put_media_behind_results(request);
    if (GetParam() == Family::anthropic) say_as_anthropic(request);
    json::Value is = normal_form(*back);
    json::Value should = normal_form(request);
    for (json::Value* form : {&is, &should}) {
      forget(*form, dropped);
      forget(*form, GetParam(), kRequestLosses);
    }
    EXPECT_EQ(differences(is, should), "") << "seed " << seed << ", dropped: " << names(dropped) << "\n" << body;
  }
}

// Messages of Anthropic's have ids of their own form; those of others get its beginning.
void name_as(chat::Answer& answer, Family family) {
  if (family == Family::anthropic) answer.id = "msg_" + answer.id;
}

TEST_P(ThereAndBack, AnswersComeBack) {
  chat::Request request = question(false);
  for (std::uint64_t seed = 0; seed < kRounds && !HasFailure(); ++seed) {
    chat::Answer answer = RandomChat(seed, GetParam()).answer();
    std::string body = codec_->write_answer(request, answer);
    auto back = provider_->read_chat(request, body);
    ASSERT_TRUE(back.has_value()) << "seed " << seed << ": " << back.error().detail << "\n" << body;
    name_as(answer, GetParam());
    json::Value is = normal_form(*back, GetParam());
    json::Value should = normal_form(answer, GetParam());
    for (json::Value* form : {&is, &should}) forget(*form, GetParam(), kAnswerLosses);
    EXPECT_EQ(differences(is, should), "") << "seed " << seed << "\n" << body;
  }
}

TEST_P(ThereAndBack, StreamsSayWhatAnswersSay) {
  chat::Request request = question(true);
  for (std::uint64_t seed = 0; seed < kRounds && !HasFailure(); ++seed) {
    RandomChat random(seed, GetParam());
    chat::Answer answer = random.answer();
    auto writer = codec_->stream_writer(request);
    chat::replay(answer, *writer);
    const std::string bytes = writer->output();
    auto reader = provider_->stream_reader(request);
    ASSERT_NE(reader, nullptr);
    chat::AnswerCollector collector;
    for (std::size_t at = 0; at < bytes.size();) {
      std::size_t piece = std::min(1 + random.pick(200), bytes.size() - at);
      auto fed = reader->feed(std::string_view(bytes).substr(at, piece), collector);
      ASSERT_TRUE(fed.has_value()) << "seed " << seed << ": " << fed.error().detail << "\n" << bytes;
      at += piece;
    }
    auto finished = reader->finish(collector);
    ASSERT_TRUE(finished.has_value()) << "seed " << seed << ": " << finished.error().detail << "\n" << bytes;
    EXPECT_TRUE(collector.ended());
    name_as(answer, GetParam());
    json::Value is = normal_form(collector.answer(), GetParam());
    json::Value should = normal_form(answer, GetParam());
    for (json::Value* form : {&is, &should}) forget(*form, GetParam(), kAnswerLosses);
    EXPECT_EQ(differences(is, should), "") << "seed " << seed << "\n" << bytes;
  }
}

TEST_P(ThereAndBack, CutStreamsAreErrors) {
  chat::Request request = question(true);
  for (std::uint64_t seed = 0; seed < kRounds / 10 && !HasFailure(); ++seed) {
    RandomChat random(seed, GetParam());
    auto writer = codec_->stream_writer(request);
    chat::replay(random.answer(), *writer);
    std::string_view bytes = writer->output();
    std::string_view cut = bytes.substr(0, random.pick(cuts_of(GetParam(), bytes)));
    auto reader = provider_->stream_reader(request);
    ASSERT_NE(reader, nullptr);
    chat::AnswerCollector collector;
    auto read = reader->feed(cut, collector);
    if (read) read = reader->finish(collector);
    EXPECT_FALSE(read.has_value()) << "seed " << seed << ": " << cut;
    EXPECT_FALSE(collector.ended()) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(EachDialect, ThereAndBack,
                         testing::Values(Family::openai, Family::anthropic, Family::gemini, Family::ollama),
                         [](const auto& each) { return std::string(chat::to_string(each.param)); });

}  // namespace
}  // namespace penstock::golden
