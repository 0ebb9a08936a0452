#include "ext/providers/anthropic/request_writer.h"

#include <algorithm>
#include <set>

#include "chat/effort.h"
#include "chat/turns.h"
#include "ext/providers/anthropic/content_writer.h"
#include "ext/providers/anthropic/schema.h"
#include "json/object_writer.h"

namespace penstock::ext::anthropic {
namespace {

using chat::Dropped;
using chat::Field;
using chat::OutputFormat;
using json::ObjectWriter;
using Mode = chat::ToolChoice::Mode;

// The provider's least budget.
constexpr std::int64_t kBudgetLeast = 1024;
// Tokens beside the budget, where the budget is ours.
constexpr std::int64_t kAnswerLeast = 256;

// Without one, any JSON will do.
bool has_schema(const OutputFormat& format) {
  return format.kind == OutputFormat::Kind::schema && format.schema.is_object() && !format.schema.get_object().empty();
}

bool forces_a_tool(const chat::Request& request, const MessagesOptions& options) {
  Mode mode = request.tool_choice.mode;
  bool forced = !request.tools.empty() && (mode == Mode::required || mode == Mode::one);
  return forced || !answer_tool(request, options).empty();
}

// A turn of the model's that used tools must begin with its thoughts when the results come back, or it cannot think.
bool lacks_thoughts(const chat::Conversation& conversation) {
  const auto& turns = conversation.turns;
  if (turns.size() < 2 || turns.back().assistant) return false;
  auto holds_call = [](const chat::Part* part) { return std::holds_alternative<chat::ToolCall>(part->content); };
  auto holds_thought = [](const chat::Part* part) { return is_own_thought(*part); };
  const auto& asked = turns[turns.size() - 2].parts;
  return std::any_of(asked.begin(), asked.end(), holds_call) && std::none_of(asked.begin(), asked.end(), holds_thought);
}

class RequestWriter {
 public:
  RequestWriter(const chat::Request& request, const MessagesOptions& options, Dropped& dropped)
      : request_(request),
        options_(options),
        dropped_(dropped),
        conversation_(chat::alternate(request)),
        allowed_(request.tool_choice.allowed.begin(), request.tool_choice.allowed.end()),
        answer_tool_(anthropic::answer_tool(request, options)) {}

  Result<std::string> write(std::string_view model, bool counts) {
    ObjectWriter body(out_);
    body.text("model", model);
    if (!counts) {
      decide_thinking();
      body.integer("max_tokens", max_tokens());
    }
    write_system(body);
    if (auto written = write_turns(body); !written) return std::unexpected(written.error());
    if (auto written = write_tools(body); !written) return std::unexpected(written.error());
    if (!counts) {
      write_thinking(body);
      write_output_config(body);
      write_sampling(body);
      write_others(body);
      note_dropped();
      if (request_.stream) body.boolean("stream", true);
    }
    body.end();
    return std::move(out_);
  }

 private:
  void decide_thinking();
  std::int64_t max_tokens() const;
  void write_system(ObjectWriter& body);
  Result<void> write_turns(ObjectWriter& body);
  Result<void> write_tools(ObjectWriter& body);
  void write_past_tools(ObjectWriter& body);
  void write_tool_choice(ObjectWriter& body);
  void write_thinking(ObjectWriter& body);
  void write_output_config(ObjectWriter& body);
  json::Value described_schema();
  void write_sampling(ObjectWriter& body);
  void write_others(ObjectWriter& body);
  void note_dropped();

  const chat::Request& request_;
  const MessagesOptions& options_;
  Dropped& dropped_;
  chat::Conversation conversation_;
  std::set<std::string_view> allowed_;  // names of tools; empty: all
  std::string answer_tool_;
  bool thinks_ = false;
  std::int64_t budget_ = 0;
  std::string out_;
};

void RequestWriter::decide_thinking() {
  const chat::Reasoning& wanted = request_.reasoning;
  if (chat::is_off(wanted)) return;
  if (wanted.on != true && wanted.effort.empty() && !wanted.budget_tokens && wanted.show != true) return;
  // Both are errors there, and tools are more than thoughts.
  if (forces_a_tool(request_, options_) || (!options_.adaptive_thinking && lacks_thoughts(conversation_))) {
    dropped_.add(Field::reasoning);
    return;
  }
  thinks_ = true;
  if (options_.adaptive_thinking) return;
  std::int64_t tokens = chat::tokens_of(wanted);
  budget_ = std::max(tokens < 0 ? chat::tokens_of_effort("medium") : tokens, kBudgetLeast);
}

// The limit counts thoughts, too, and must leave room for an answer. Who says both numbers has weighed them.
std::int64_t RequestWriter::max_tokens() const {
  std::int64_t limit = request_.max_output_tokens.value_or(options_.max_tokens);
  std::int64_t least = budget_ + (request_.reasoning.budget_tokens ? 0 : kAnswerLeast);
  bool room = request_.max_output_tokens && limit > least;
  return budget_ == 0 || room ? limit : limit + budget_;
}

void RequestWriter::write_system(ObjectWriter& body) {
  if (conversation_.instructions.empty()) return;
  std::string blocks;
  write_instructions(blocks, conversation_.instructions, dropped_);
  if (blocks != "[]") body.member("system") += blocks;
}

Result<void> RequestWriter::write_turns(ObjectWriter& body) {
  std::string& out = body.member("messages");
  out += '[';
  std::size_t written = 0;
  for (const chat::Turn& turn : conversation_.turns) {
    std::string blocks;
    if (!write_blocks(blocks, turn, &turn == &conversation_.turns.back(), dropped_)) continue;
    if (written++ != 0) out += ',';
    ObjectWriter message(out);
    message.text("role", turn.assistant ? "assistant" : "user");
    message.member("content") += blocks;
    message.end();
  }
  out += ']';
  if (written > 0) return {};
  return fail(Errc::invalid_argument,
              conversation_.turns.empty()
                  ? "messages: the provider's API needs at least one message that is no instruction"
                  : "messages: nothing in them can be carried to the provider's API, which reads text, images and "
                    "documents (PDF and plain text)");
}

Result<void> RequestWriter::write_tools(ObjectWriter& body) {
  if (request_.tools.empty() && answer_tool_.empty()) {
    write_past_tools(body);
    return {};
  }
  std::string& out = body.member("tools");
  out += '[';
  auto add = [&](std::string_view name, std::string_view description, const json::Value& schema) {
    if (out.back() != '[') out += ',';
    ObjectWriter tool(out);
    tool.text("name", name);
    if (!description.empty()) tool.text("description", description);
    tool.value("input_schema", schema);
    return tool;
  };
  for (std::size_t i = 0; i < request_.tools.size(); ++i) {
    const chat::Tool& tool = request_.tools[i];
    if (!allowed_.empty() && !allowed_.contains(tool.name)) continue;
    auto schema = input_schema(tool.schema);
    if (!schema)
      return fail(Errc::invalid_argument,
                  fmt::format("tools[{}] ('{}'): its schema {}", i, tool.name.substr(0, 100), schema.error().detail));
    bool strict = tool.strict == true;
    ObjectWriter written = add(tool.name, tool.description, strict ? output_schema(*schema) : *schema);
    if (strict) written.boolean("strict", true);
    if (tool.cache) write_cache_control(written.member("cache_control"), tool.cache);
    written.end();
  }
  if (!answer_tool_.empty()) {
    const OutputFormat& format = request_.format;
    json::Value open = json::Object{{"type", "object"}, {"additionalProperties", true}};
    auto schema = has_schema(format) ? input_schema(format.schema) : std::move(open);
    add(answer_tool_, format.description.empty() ? "Gives the answer, all of it." : format.description, *schema).end();
  }
  out += ']';
  write_tool_choice(body);
  return {};
}

// Conversations with calls in them need the tools declared, also when none may be called any more.
void RequestWriter::write_past_tools(ObjectWriter& body) {
  std::set<std::string_view> names;
  for (const chat::Turn& turn : conversation_.turns) {
    for (const chat::Part* part : turn.parts) {
      if (const auto* call = std::get_if<chat::ToolCall>(&part->content)) names.insert(call->name);
    }
  }
  if (names.empty()) return;
  std::string& out = body.member("tools");
  for (std::string_view name : names) {
    out += name == *names.begin() ? '[' : ',';
    ObjectWriter tool(out);
    tool.text("name", name);
    tool.value("input_schema", *input_schema({}));
    tool.end();
  }
  out += ']';
  body.member("tool_choice") += R"({"type":"none"})";
}

void RequestWriter::write_tool_choice(ObjectWriter& body) {
  Mode mode = request_.tool_choice.mode;
  std::string name = request_.tool_choice.name;
  if (!answer_tool_.empty()) {
    bool others = !request_.tools.empty() && mode != Mode::none;
    mode = others ? Mode::required : Mode::one;
    name = answer_tool_;
  }
  bool single = request_.parallel_tool_calls == false;
  if (mode == Mode::unset && !single) return;
  constexpr std::string_view kWords[] = {"auto", "auto", "none", "any", "tool"};
  ObjectWriter choice(body.member("tool_choice"));
  choice.text("type", kWords[static_cast<std::size_t>(mode)]);
  if (mode == Mode::one) choice.text("name", name);
  if (single && mode != Mode::none) choice.boolean("disable_parallel_tool_use", true);
  choice.end();
}

void RequestWriter::write_thinking(ObjectWriter& body) {
  if (chat::is_off(request_.reasoning)) {
    body.member("thinking") += R"({"type":"disabled"})";
    return;
  }
  if (!thinks_) return;
  ObjectWriter thinking(body.member("thinking"));
  thinking.text("type", options_.adaptive_thinking ? "adaptive" : "enabled");
  if (!options_.adaptive_thinking) thinking.integer("budget_tokens", budget_);
  if (request_.reasoning.show) thinking.text("display", *request_.reasoning.show ? "summarized" : "omitted");
  thinking.end();
}

void RequestWriter::write_output_config(ObjectWriter& body) {
  bool effort =
      thinks_ && options_.adaptive_thinking && (!request_.reasoning.effort.empty() || request_.reasoning.budget_tokens);
  bool wants_format = request_.format.kind != OutputFormat::Kind::text && answer_tool_.empty();
  bool format = wants_format && has_schema(request_.format) && !options_.format_by_tool;
  if (wants_format && !format) dropped_.add(Field::response_format);
  if (!effort && !format) return;
  ObjectWriter config(body.member("output_config"));
  if (effort) {
    std::string_view word = chat::effort_of(request_.reasoning);
    config.text("effort", word == "minimal" ? "low" : word);
  }
  if (format) {
    ObjectWriter written(config.member("format"));
    written.text("type", "json_schema");
    written.value("schema", described_schema());
    written.end();
  }
  config.end();
}

// A format has no description of its own there; its schema may have one.
json::Value RequestWriter::described_schema() {
  json::Value schema = request_.format.schema;
  json::Object& members = schema.get_object();
  const std::string& description = request_.format.description;
  if (!description.empty()) {
    if (members.contains("$ref") || members.contains("description")) {
      dropped_.add(Field::response_format);
    } else {
      members["description"] = description;
    }
  }
  return output_schema(schema);
}

// Models that decide themselves how much to think take none of these. Thinking goes with none of them, but for what
// says nothing; and of temperature and top_p newer models take one.
void RequestWriter::write_sampling(ObjectWriter& body) {
  if (options_.adaptive_thinking) {
    if (request_.temperature.value_or(1) != 1) dropped_.add(Field::temperature);
    if (request_.top_p.value_or(1) != 1) dropped_.add(Field::top_p);
    if (request_.top_k) dropped_.add(Field::top_k);
    return;
  }
  bool temperature = request_.temperature && (!thinks_ || *request_.temperature == 1);
  if (request_.temperature && !temperature) dropped_.add(Field::temperature);
  if (temperature) {
    if (*request_.temperature > 1) dropped_.add(Field::temperature);
    body.number("temperature", std::clamp(*request_.temperature, 0.0, 1.0));
  }
  constexpr double kTopPWithThinking = 0.95;
  bool top_p = request_.top_p && !request_.temperature && (!thinks_ || *request_.top_p >= kTopPWithThinking);
  if (request_.top_p && !top_p && *request_.top_p != 1) dropped_.add(Field::top_p);
  if (top_p) body.number("top_p", *request_.top_p);
  if (request_.top_k && thinks_) dropped_.add(Field::top_k);
  if (request_.top_k && !thinks_) body.integer("top_k", *request_.top_k);
}

void RequestWriter::write_others(ObjectWriter& body) {
  std::vector<std::string_view> stops;
  for (const std::string& stop : request_.stop) {
    // Refused there: words of blanks alone.
    if (stop.find_first_not_of(" \t\r\n") == std::string::npos) {
      dropped_.add(Field::stop);
    } else {
      stops.push_back(stop);
    }
  }
  if (!stops.empty()) {
    std::string& out = body.member("stop_sequences");
    for (std::size_t i = 0; i < stops.size(); ++i) {
      out += i == 0 ? '[' : ',';
      json::append_quoted(out, stops[i]);
    }
    out += ']';
  }
  if (!request_.user.empty()) {
    ObjectWriter metadata(body.member("metadata"));
    metadata.text("user_id", request_.user);
    metadata.end();
  }
  if (request_.service_tier == "auto" || request_.service_tier == "priority") body.text("service_tier", "auto");
  if (request_.service_tier == "default") body.text("service_tier", "standard_only");
  if (request_.service_tier == "flex") dropped_.add(Field::service_tier);
}

// What the API has no word for, unless it says what would happen anyway.
void RequestWriter::note_dropped() {
  auto note = [&](bool said, Field field) {
    if (said) dropped_.add(field);
  };
  note(request_.n.value_or(1) > 1, Field::n);
  note(request_.seed.has_value(), Field::seed);
  note(request_.min_p.value_or(0) != 0, Field::min_p);
  note(request_.frequency_penalty.value_or(0) != 0, Field::frequency_penalty);
  note(request_.presence_penalty.value_or(0) != 0, Field::presence_penalty);
  note(request_.repeat_penalty.value_or(1) != 1, Field::repeat_penalty);
  note(!request_.logit_bias.empty(), Field::logit_bias);
  note(request_.logprobs.value_or(false) || request_.top_logprobs.value_or(0) > 0, Field::logprobs);
  note(!request_.metadata.empty(), Field::metadata);
  note(!request_.verbosity.empty() && request_.verbosity != "medium", Field::verbosity);
  bool named = std::any_of(request_.messages.begin(), request_.messages.end(),
                           [](const chat::Message& message) { return !message.name.empty(); });
  note(named, Field::message_name);
}

}  // namespace

std::string answer_tool(const chat::Request& request, const MessagesOptions& options) {
  const OutputFormat& format = request.format;
  if (format.kind == OutputFormat::Kind::text) return {};
  // Output formats there need a schema; any JSON object at all is had by a tool.
  if (has_schema(format) && (!options.format_by_tool || !input_schema(format.schema))) return {};
  Mode mode = request.tool_choice.mode;
  if (!request.tools.empty() && (mode == Mode::required || mode == Mode::one)) return {};
  std::string name = "answer_in_json";
  auto taken = [&](const chat::Tool& tool) { return tool.name == name; };
  while (std::any_of(request.tools.begin(), request.tools.end(), taken)) name += '_';
  return name;
}

Result<std::string> write_messages_request(const chat::Request& request, std::string_view model,
                                           const MessagesOptions& options, Dropped& dropped) {
  return RequestWriter(request, options, dropped).write(model, false);
}

Result<std::string> write_count_request(const chat::Request& request, std::string_view model,
                                        const MessagesOptions& options) {
  Dropped unused;
  return RequestWriter(request, options, unused).write(model, true);
}

}  // namespace penstock::ext::anthropic
