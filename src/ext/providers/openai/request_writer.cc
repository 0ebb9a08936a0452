#include "ext/providers/openai/request_writer.h"

#include <algorithm>

#include "chat/effort.h"
#include "ext/providers/openai/message_writer.h"
#include "json/writer.h"

namespace penstock::ext {
namespace {

using chat::Field;

// OpenAI's limits.
constexpr std::size_t kStopsMax = 4;
constexpr double kTemperatureMax = 2;

class RequestWriter {
 public:
  RequestWriter(const chat::Request& request, bool compatible, chat::Dropped& dropped, json::Writer& out)
      : request_(request), compatible_(compatible), dropped_(dropped), out_(out) {}

  Result<void> write(std::string_view model) {
    out_.open_object().member("model", model).key("messages");
    if (auto said = write_openai_messages(request_.messages, compatible_, dropped_, out_); !said) return said;
    tools();
    sampling();
    output();
    if (request_.stream) {
      out_.member("stream", true).key("stream_options").open_object().member("include_usage", true).close_object();
    }
    out_.close_object();
    return {};
  }

 private:
  template <class T>
  void optional(std::string_view name, const std::optional<T>& value) {
    if (value) out_.member(name, *value);
  }
  template <class T>
  void extension(std::string_view name, const std::optional<T>& value, Field field) {
    if (value && !compatible_) dropped_.add(field);
    if (compatible_) optional(name, value);
  }
  void text(std::string_view name, const std::string& value) {
    if (!value.empty()) out_.member(name, value);
  }

  void tools() {
    if (request_.tools.empty()) {
      // OpenAI refuses both without tools.
      if (request_.tool_choice.mode != chat::ToolChoice::Mode::unset) dropped_.add(Field::tool_choice);
      if (request_.parallel_tool_calls) dropped_.add(Field::parallel_tool_calls);
      return;
    }
    out_.key("tools").open_array();
    for (const chat::Tool& tool : request_.tools) {
      if (tool.cache) dropped_.add(Field::cache_control);
      out_.open_object().member("type", "function").key("function").open_object().member("name", tool.name);
      text("description", tool.description);
      if (!tool.schema.is_null()) out_.member("parameters", tool.schema);
      optional("strict", tool.strict);
      out_.close_object().close_object();
    }
    out_.close_array();
    tool_choice();
    optional("parallel_tool_calls", request_.parallel_tool_calls);
  }

  void function(std::string_view name) {
    out_.open_object().member("type", "function").key("function").open_object().member("name", name);
    out_.close_object().close_object();
  }

  void tool_choice() {
    using Mode = chat::ToolChoice::Mode;
    const chat::ToolChoice& choice = request_.tool_choice;
    if (choice.mode == Mode::unset) return;
    out_.key("tool_choice");
    if (choice.mode == Mode::one) return function(choice.name);
    std::string_view word = choice.mode == Mode::none ? "none" : choice.mode == Mode::required ? "required" : "auto";
    if (choice.mode == Mode::none || choice.allowed.empty()) {
      out_.string(word);
      return;
    }
    out_.open_object().member("type", "allowed_tools").key("allowed_tools").open_object().member("mode", word);
    out_.key("tools").open_array();
    for (const std::string& name : choice.allowed) function(name);
    out_.close_array().close_object().close_object();
  }

  void sampling() {
    if (request_.temperature) {
      double clamped = std::clamp(*request_.temperature, 0.0, kTemperatureMax);
      if (clamped != *request_.temperature) dropped_.add(Field::temperature);
      out_.member("temperature", clamped);
    }
    optional("top_p", request_.top_p);
    extension("top_k", request_.top_k, Field::top_k);
    extension("min_p", request_.min_p, Field::min_p);
    extension("repetition_penalty", request_.repeat_penalty, Field::repeat_penalty);
    optional("frequency_penalty", request_.frequency_penalty);
    optional("presence_penalty", request_.presence_penalty);
    optional("seed", request_.seed);
    optional("n", request_.n);
    stop();
    if (!request_.logit_bias.empty()) {
      out_.key("logit_bias").open_object();
      for (const auto& [token, bias] : request_.logit_bias) out_.member(token, bias);
      out_.close_object();
    }
    // The number says nothing without the switch.
    bool logprobs = request_.logprobs.value_or(request_.top_logprobs.has_value());
    if (request_.logprobs || logprobs) out_.member("logprobs", logprobs);
    if (logprobs) optional("top_logprobs", request_.top_logprobs);
  }

  void stop() {
    if (request_.stop.empty()) return;
    if (request_.stop.size() > kStopsMax && !compatible_) dropped_.add(Field::stop);
    std::size_t count = compatible_ ? request_.stop.size() : std::min(request_.stop.size(), kStopsMax);
    out_.key("stop").open_array();
    for (std::size_t i = 0; i < count; ++i) out_.string(request_.stop[i]);
    out_.close_array();
  }

  void output() {
    optional(compatible_ ? "max_tokens" : "max_completion_tokens", request_.max_output_tokens);
    format();
    const chat::Reasoning& reasoning = request_.reasoning;
    if (reasoning.on || !reasoning.effort.empty() || reasoning.budget_tokens)
      out_.member("reasoning_effort", chat::effort_of(reasoning));
    text("verbosity", request_.verbosity);
    text("service_tier", request_.service_tier);
    text("user", request_.user);
    // OpenAI takes it only with answers that it is to keep.
    if (!request_.metadata.empty()) dropped_.add(Field::metadata);
  }

  void format() {
    using Kind = chat::OutputFormat::Kind;
    const chat::OutputFormat& format = request_.format;
    if (format.kind == Kind::text) return;
    out_.key("response_format").open_object();
    if (format.kind == Kind::json) {
      out_.member("type", "json_object");
    } else {
      out_.member("type", "json_schema").key("json_schema").open_object();
      out_.member("name", format.name.empty() ? "response" : std::string_view(format.name));
      text("description", format.description);
      if (!format.schema.is_null()) out_.member("schema", format.schema);
      optional("strict", format.strict);
      out_.close_object();
    }
    out_.close_object();
  }

  const chat::Request& request_;
  bool compatible_;
  chat::Dropped& dropped_;
  json::Writer& out_;
};

}  // namespace

Result<void> write_openai_chat_request(const chat::Request& request, std::string_view model, bool compatible,
                                       chat::Dropped& dropped, std::string& out) {
  json::Writer writer(out);
  return RequestWriter(request, compatible, dropped, writer).write(model);
}

}  // namespace penstock::ext
