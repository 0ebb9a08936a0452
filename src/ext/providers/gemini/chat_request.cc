#include "ext/providers/gemini/chat_request.h"

#include <fmt/format.h>

#include <limits>

#include "chat/effort.h"
#include "chat/schema.h"
#include "ext/providers/gemini/contents_writer.h"

namespace penstock::ext {
namespace {

using chat::Field;

constexpr std::size_t kStopsMax = 5;
constexpr double kTemperatureMax = 2;

Result<json::Value> tool_parameters(const chat::Tool& tool, ToolSchema form) {
  auto schema = chat::inline_references(tool.schema);
  if (schema && form == ToolSchema::openapi) schema = chat::to_openapi(*schema);
  if (!schema)
    return fail(schema.error().code,
                fmt::format("the parameters of the tool '{}': {}", tool.name, schema.error().detail));
  return schema;
}

Result<json::Array> declarations(const chat::Request& request, ToolSchema form, chat::Dropped& dropped) {
  json::Array out;
  for (const chat::Tool& tool : request.tools) {
    json::Object made{{"name", tool.name}};
    if (!tool.description.empty()) made["description"] = tool.description;
    if (tool.strict == true) dropped.add(Field::tool_strict);
    if (tool.cache) dropped.add(Field::cache_control);
    if (tool.schema.is_object()) {
      auto schema = tool_parameters(tool, form);
      if (!schema) return std::unexpected(schema.error());
      // The older form refuses an object that has nothing in it.
      bool empty = form == ToolSchema::openapi && json::find(*schema, "properties") == nullptr;
      if (!empty) made[form == ToolSchema::openapi ? "parameters" : "parametersJsonSchema"] = std::move(*schema);
    }
    out.push_back(json::Value(std::move(made)));
  }
  return out;
}

json::Object calling_config(const chat::ToolChoice& choice) {
  using Mode = chat::ToolChoice::Mode;
  json::Object out;
  json::Array names;
  for (const std::string& name : choice.allowed) names.push_back(json::Value(name));
  switch (choice.mode) {
    case Mode::unset: return out;
    // Names may be given only where the mode is more than AUTO.
    case Mode::automatic: out["mode"] = names.empty() ? "AUTO" : "VALIDATED"; break;
    case Mode::none: out["mode"] = "NONE"; break;
    case Mode::required: out["mode"] = "ANY"; break;
    case Mode::one:
      out["mode"] = "ANY";
      names = json::Array{json::Value(choice.name)};
      break;
  }
  if (!names.empty() && choice.mode != Mode::none) out["allowedFunctionNames"] = std::move(names);
  return out;
}

std::string_view level_of(std::string_view effort, const GeminiModel& model) {
  if (effort == "none" || effort == "minimal") return model.takes_minimal ? "minimal" : "low";
  return effort == "xhigh" || effort == "max" ? "high" : effort;
}

// What the model cannot do is clamped to what it can, and told.
json::Object thinking_config(const chat::Reasoning& reasoning, const GeminiModel& model, chat::Dropped& dropped) {
  json::Object out;
  if (!reasoning.said()) return out;
  // Who turns thinking on in a dialect that always shows it wants to see it.
  if (reasoning.show || reasoning.on == true) out["includeThoughts"] = reasoning.show.value_or(true);
  bool off = chat::is_off(reasoning);
  bool by_word = model.third && (!reasoning.effort.empty() || off);
  if (by_word) {
    std::string_view effort = chat::effort_of(reasoning);
    std::string_view level = level_of(effort, model);
    if (level != effort) dropped.add(Field::reasoning);
    out["thinkingLevel"] = level;
  } else if (off || !reasoning.effort.empty() || reasoning.budget_tokens) {
    std::int64_t wanted = chat::tokens_of(reasoning);
    bool none = wanted == 0 && model.may_not_think;
    std::int64_t budget = none ? 0 : std::clamp(wanted, model.thought_least, model.thought_most);
    if (budget != wanted) dropped.add(Field::reasoning);
    out["thinkingBudget"] = budget;
  } else if (reasoning.on) {
    out["thinkingBudget"] = -1;  // as much as the model likes
  }
  return out;
}

void write_sampling(const chat::Request& request, json::Object& out, chat::Dropped& dropped) {
  if (request.temperature) {
    if (*request.temperature > kTemperatureMax) dropped.add(Field::temperature);
    out["temperature"] = std::min(*request.temperature, kTemperatureMax);
  }
  if (request.top_p) out["topP"] = *request.top_p;
  if (request.top_k) out["topK"] = *request.top_k;
  if (request.n) out["candidateCount"] = *request.n;
  if (request.max_output_tokens) out["maxOutputTokens"] = *request.max_output_tokens;
  if (request.presence_penalty) out["presencePenalty"] = *request.presence_penalty;
  if (request.frequency_penalty) out["frequencyPenalty"] = *request.frequency_penalty;
  if (request.seed) {
    using Limits = std::numeric_limits<std::int32_t>;
    if (*request.seed >= Limits::min() && *request.seed <= Limits::max())
      out["seed"] = *request.seed;
    else
      dropped.add(Field::seed);
  }
  if (request.logprobs) out["responseLogprobs"] = *request.logprobs;
  if (request.logprobs == true && request.top_logprobs) out["logprobs"] = *request.top_logprobs;
  if (request.stop.empty()) return;
  json::Array stops;
  for (const std::string& stop : request.stop) {
    if (stops.size() < kStopsMax)
      stops.push_back(json::Value(stop));
    else
      dropped.add(Field::stop);
  }
  out["stopSequences"] = std::move(stops);
}

Result<void> write_format(const chat::OutputFormat& format, json::Object& out) {
  if (format.kind == chat::OutputFormat::Kind::text) return {};
  out["responseMimeType"] = "application/json";
  if (format.kind != chat::OutputFormat::Kind::schema || !format.schema.is_object()) return {};
  auto schema = chat::inline_references(format.schema);
  if (!schema) return fail(schema.error().code, fmt::format("the schema of the answer: {}", schema.error().detail));
  out["responseJsonSchema"] = std::move(*schema);
  return {};
}

void note_unsaid(const chat::Request& request, chat::Dropped& dropped) {
  if (request.min_p) dropped.add(Field::min_p);
  if (request.repeat_penalty) dropped.add(Field::repeat_penalty);
  if (!request.logit_bias.empty()) dropped.add(Field::logit_bias);
  if (!request.verbosity.empty()) dropped.add(Field::verbosity);
  if (!request.user.empty()) dropped.add(Field::user);
  if (!request.metadata.empty()) dropped.add(Field::metadata);
  if (request.parallel_tool_calls == false) dropped.add(Field::parallel_tool_calls);
}

}  // namespace

Result<json::Object> write_generate(const chat::Request& request, std::string_view model_name, ToolSchema tool_schema,
                                    chat::Dropped& dropped) {
  GeminiModel model = gemini_model(model_name);
  auto contents = write_contents(request, model, dropped);
  if (!contents) return std::unexpected(contents.error());
  json::Object out;
  if (!contents->instruction.empty()) out["systemInstruction"] = std::move(contents->instruction);
  out["contents"] = std::move(contents->contents);
  if (!request.tools.empty()) {
    auto functions = declarations(request, tool_schema, dropped);
    if (!functions) return std::unexpected(functions.error());
    out["tools"] = json::Array{json::Object{{"functionDeclarations", std::move(*functions)}}};
    if (json::Object calling = calling_config(request.tool_choice); !calling.empty())
      out["toolConfig"] = json::Object{{"functionCallingConfig", std::move(calling)}};
  }
  json::Object config;
  write_sampling(request, config, dropped);
  if (auto written = write_format(request.format, config); !written) return std::unexpected(written.error());
  if (json::Object thinking = thinking_config(request.reasoning, model, dropped); !thinking.empty())
    config["thinkingConfig"] = std::move(thinking);
  if (!config.empty()) out["generationConfig"] = std::move(config);
  const std::string& tier = request.service_tier;
  if (tier == "default" || tier == "flex" || tier == "priority")
    out["serviceTier"] = tier == "default" ? "standard" : tier;
  else if (!tier.empty() && tier != "auto")
    dropped.add(Field::service_tier);
  note_unsaid(request, dropped);
  return out;
}

Result<json::Object> write_embed(const chat::EmbeddingsRequest& request, std::string_view model,
                                 chat::Dropped& dropped) {
  if (!request.tokens.empty())
    return fail(Errc::invalid_argument, "input: this provider embeds texts, not token numbers");
  if (!request.user.empty()) dropped.add(Field::user);
  json::Array requests;
  for (const std::string& text : request.texts) {
    json::Object one{{"model", fmt::format("models/{}", model)},
                     {"content", json::Object{{"parts", json::Array{json::Object{{"text", text}}}}}}};
    if (!request.task.empty()) one["taskType"] = request.task;
    if (!request.title.empty()) one["title"] = request.title;
    if (request.dimensions) one["outputDimensionality"] = *request.dimensions;
    requests.push_back(json::Value(std::move(one)));
  }
  return json::Object{{"requests", std::move(requests)}};
}

}  // namespace penstock::ext
