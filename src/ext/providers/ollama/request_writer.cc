#include "ext/providers/ollama/request_writer.h"

#include <set>

#include "base/text.h"
#include "chat/effort.h"
#include "ext/providers/ollama/message_writer.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

using chat::Field;

// The fields of `options`, set off by commas.
class Options {
 public:
  template <class Number>
  void add(std::string_view name, const std::optional<Number>& value) {
    if (!value) return;
    if constexpr (std::is_floating_point_v<Number>) {
      add_text(name, fmt::format("{}", *value));
    } else {
      add_text(name, base::Digits(*value));
    }
  }
  void add_text(std::string_view name, std::string_view value) {
    base::append(text_, text_.empty() ? "\"" : ",\"", name, "\":", value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string list_of(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    json::append_quoted(out, text);
  }
  return out += ']';
}

void write_options(const chat::Request& request, const OllamaDefaults& defaults, std::string& out) {
  Options options;
  options.add("num_predict", request.max_output_tokens);
  options.add("temperature", request.temperature);
  options.add("top_k", request.top_k);
  options.add("top_p", request.top_p);
  options.add("min_p", request.min_p);
  options.add("seed", request.seed);
  if (!request.stop.empty()) options.add_text("stop", list_of(request.stop));
  options.add("repeat_penalty", request.repeat_penalty);
  options.add("presence_penalty", request.presence_penalty);
  options.add("frequency_penalty", request.frequency_penalty);
  if (defaults.num_ctx > 0) options.add_text("num_ctx", base::Digits(defaults.num_ctx));
  if (!options.text().empty()) base::append(out, ",\"options\":{", options.text(), "}");
}

bool may_use(const chat::ToolChoice& choice, const std::set<std::string_view>& allowed, const chat::Tool& tool) {
  using Mode = chat::ToolChoice::Mode;
  if (choice.mode == Mode::none) return false;
  if (choice.mode == Mode::one) return tool.name == choice.name;
  return allowed.empty() || allowed.contains(tool.name);
}

void write_tool(const chat::Tool& tool, std::string& out, chat::Dropped& dropped) {
  if (tool.strict.value_or(false)) dropped.add(Field::tool_strict);
  if (tool.cache) dropped.add(Field::cache_control);
  out += R"({"type":"function","function":{"name":)";
  json::append_quoted(out, tool.name);
  if (!tool.description.empty()) {
    out += R"(,"description":)";
    json::append_quoted(out, tool.description);
  }
  base::append(out, R"(,"parameters":)",
               tool.schema.is_object() ? json::dump(tool.schema) : R"({"type":"object","properties":{}})", "}}");
}

// Ollama has no choice of tools: what is not there cannot be used, and nothing can be forced.
Result<void> write_tools(const chat::Request& request, std::string& out, chat::Dropped& dropped) {
  using Mode = chat::ToolChoice::Mode;
  const chat::ToolChoice& choice = request.tool_choice;
  const std::set<std::string_view> allowed(choice.allowed.begin(), choice.allowed.end());
  std::size_t written = 0;
  for (const chat::Tool& tool : request.tools) {
    if (!may_use(choice, allowed, tool)) continue;
    out += written++ == 0 ? R"(,"tools":[)" : ",";
    write_tool(tool, out, dropped);
  }
  if (written > 0) out += ']';
  bool forced = choice.mode == Mode::required || choice.mode == Mode::one;
  if (forced && written == 0)
    return fail(Errc::invalid_argument, "tool_choice: it demands a tool that is not among the tools");
  if (forced) dropped.add(Field::tool_choice);
  if (written > 0 && request.parallel_tool_calls == false) dropped.add(Field::parallel_tool_calls);
  return {};
}

void write_format(const chat::OutputFormat& format, std::string& out) {
  using Kind = chat::OutputFormat::Kind;
  if (format.kind == Kind::text) return;
  bool schema = format.kind == Kind::schema && format.schema.is_object();
  base::append(out, ",\"format\":", schema ? json::dump(format.schema) : "\"json\"");
}

// Only the gpt-oss models take a level, and nothing else; all others refuse levels and want to be told yes or no.
bool takes_levels(std::string_view model) { return model.find("gpt-oss") != std::string_view::npos; }

std::string_view level_of(const chat::Reasoning& reasoning) {
  std::string_view effort = chat::effort_of(reasoning);
  if (effort == "minimal" || effort == "low") return "\"low\"";
  return effort == "medium" ? "\"medium\"" : "\"high\"";
}

void write_think(const chat::Reasoning& reasoning, std::string_view model, std::string& out, chat::Dropped& dropped) {
  bool off = chat::is_off(reasoning);
  bool measured = !reasoning.effort.empty() || reasoning.budget_tokens;
  if (!off && !measured && !reasoning.on.value_or(false) && !reasoning.show.value_or(false)) return;
  if (!off && measured && !takes_levels(model)) dropped.add(Field::reasoning);
  std::string_view think = off ? "false" : takes_levels(model) ? level_of(reasoning) : "true";
  base::append(out, ",\"think\":", think);
}

void write_logprobs(const chat::Request& request, std::string& out) {
  if (!request.logprobs.value_or(false)) return;
  out += ",\"logprobs\":true";
  if (request.top_logprobs) base::append(out, ",\"top_logprobs\":", base::Digits(*request.top_logprobs));
}

void note_unsayable(const chat::Request& request, chat::Dropped& dropped) {
  if (!request.logit_bias.empty()) dropped.add(Field::logit_bias);
  if (request.n.value_or(1) != 1) dropped.add(Field::n);
  if (!request.service_tier.empty()) dropped.add(Field::service_tier);
  if (!request.user.empty()) dropped.add(Field::user);
  if (!request.metadata.empty()) dropped.add(Field::metadata);
  if (!request.verbosity.empty()) dropped.add(Field::verbosity);
}

// A duration in quotes, or a number of seconds.
void write_keep_alive(std::string_view keep_alive, std::string& out) {
  if (keep_alive.empty()) return;
  out += ",\"keep_alive\":";
  bool seconds = keep_alive.find_first_not_of("-0123456789") == std::string_view::npos;
  if (seconds) {
    out += keep_alive;
  } else {
    json::append_quoted(out, keep_alive);
  }
}

}  // namespace

Result<void> write_ollama_chat(const chat::Request& request, std::string_view model, const OllamaDefaults& defaults,
                               std::string& out, chat::Dropped& dropped) {
  out += "{\"model\":";
  json::append_quoted(out, model);
  out += ",\"messages\":[";
  if (auto written = write_ollama_messages(request, out, dropped); !written) return written;
  out += ']';
  if (auto written = write_tools(request, out, dropped); !written) return written;
  write_format(request.format, out);
  write_options(request, defaults, out);
  write_think(request.reasoning, model, out, dropped);
  write_logprobs(request, out);
  note_unsayable(request, dropped);
  write_keep_alive(defaults.keep_alive, out);
  // Ollama streams unless told not to.
  base::append(out, ",\"stream\":", request.stream ? "true}" : "false}");
  return {};
}

Result<void> write_ollama_embed(const chat::EmbeddingsRequest& request, std::string_view model,
                                std::string_view keep_alive, std::string& out, chat::Dropped& dropped) {
  if (!request.tokens.empty())
    return fail(Errc::invalid_argument, "input: Ollama takes text, no token numbers; send the texts themselves");
  if (!request.user.empty()) dropped.add(Field::user);
  if (!request.task.empty()) dropped.add(Field::task);
  if (!request.title.empty()) dropped.add(Field::title);
  out += "{\"model\":";
  json::append_quoted(out, model);
  base::append(out, ",\"input\":", list_of(request.texts));
  if (request.dimensions) base::append(out, ",\"dimensions\":", base::Digits(*request.dimensions));
  write_keep_alive(keep_alive, out);
  out += '}';
  return {};
}

}  // namespace penstock::ext
