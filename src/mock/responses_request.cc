#include <algorithm>
#include <set>

#include "mock/base64.h"
#include "mock/responses.h"

namespace penstock::mock {
namespace {

class Reader {
 public:
  Reader(const DocumentShelf& shelf, std::uint64_t seed) : shelf_(shelf), seed_(seed) {}
  std::expected<ResponsesRequest, Refusal> take(json::Object body);

 private:
  void wrong(std::string text, std::string_view param, std::string_view code = "") {
    if (!mistake_)
      mistake_ = Refusal{.message = std::move(text), .param = std::string(param), .code = std::string(code)};
  }
  void take_input(const json::Value& input);
  void take_previous(std::string_view id);
  void take_item(const json::Value& item, const std::string& path);
  void take_message(const json::Value& item, const std::string& path);
  void take_part(const json::Value& part, bool assistant, const std::string& path);
  void take_output(const json::Value& item, const std::string& path);
  void take_tools(const json::Value& body);
  void take_format(const json::Value& body);
  void take_reasoning(const json::Value& body);
  void check_calls();

  const DocumentShelf& shelf_;
  std::uint64_t seed_;
  std::optional<Refusal> mistake_;
  ResponsesRequest request_;
};

std::string text_of(const json::Value& content) {
  if (content.is_string()) return std::string(content.get_string());
  std::string text;
  if (!content.is_array()) return text;
  for (const auto& part : content.get_array()) text += json::string_or(part, "text", "");
  return text;
}

void Reader::take_part(const json::Value& part, bool assistant, const std::string& path) {
  std::string_view type = json::string_or(part, "type", "");
  Prompt& prompt = request_.prompt;
  if (assistant) {
    if (type != "output_text" && type != "refusal")
      wrong(fmt::format("Invalid value: '{}'. Supported values are: 'output_text' and 'refusal'.", type),
            path + ".type", "invalid_value");
    return;
  }
  std::string_view id = json::string_or(part, "file_id", "");
  if (type == "input_text") {
    prompt.text += std::string(json::string_or(part, "text", "")) + '\n';
  } else if (type == "input_image") {
    std::string_view url = json::string_or(part, "image_url", "");
    if (url.empty() && id.empty()) wrong("Missing required parameter: 'image_url' or 'file_id'.", path);
    prompt.attachments.push_back(url.empty() ? fmt::format("[image id {}]", id) : describe_link("image", url));
  } else if (type == "input_file") {
    std::string_view data = json::string_or(part, "file_data", "");
    if (data.empty()) data = json::string_or(part, "file_url", "");
    prompt.attachments.push_back(data.empty() ? fmt::format("[file id {}]", id) : describe_link("file", data));
  } else if (type == "input_audio") {
    const json::Value* audio = json::find(part, "input_audio");
    const json::Value& held = audio != nullptr ? *audio : part;
    prompt.attachments.push_back(describe_bytes("audio", fmt::format("audio/{}", json::string_or(held, "format", "")),
                                                json::string_or(held, "data", "")));
  } else {
    wrong(fmt::format("Invalid value: '{}'. Supported values are: 'input_text', 'input_image', 'input_audio' and "
                      "'input_file'.",
                      type),
          path + ".type", "invalid_value");
  }
}

void Reader::take_message(const json::Value& item, const std::string& path) {
  std::string_view role = json::string_or(item, "role", "");
  if (role != "user" && role != "assistant" && role != "system" && role != "developer") {
    wrong(
        fmt::format("Invalid value: '{}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.", role),
        path + ".role", "invalid_value");
    return;
  }
  Prompt& prompt = request_.prompt;
  prompt.text.clear();
  prompt.attachments.clear();
  prompt.results.clear();
  const json::Value* content = json::find(item, "content");
  if (content == nullptr || (!content->is_string() && !content->is_array())) {
    wrong(fmt::format("Missing required parameter: '{}.content'.", path), path + ".content",
          "missing_required_parameter");
    return;
  }
  if (content->is_string() && role == "user") prompt.text = content->get_string();
  if (!content->is_array()) return;
  for (std::size_t i = 0; i < content->get_array().size(); ++i)
    take_part(content->get_array()[i], role == "assistant", fmt::format("{}.content[{}]", path, i));
  if (role != "user") prompt.text.clear();
}

void Reader::take_output(const json::Value& item, const std::string& path) {
  const json::Value* output = json::find(item, "output");
  if (output == nullptr)
    wrong(fmt::format("Missing required parameter: '{}.output'.", path), path + ".output",
          "missing_required_parameter");
  request_.prompt.results.push_back(output != nullptr ? text_of(*output) : "");
}

void Reader::take_item(const json::Value& item, const std::string& path) {
  std::string_view type = json::string_or(item, "type", json::find(item, "role") != nullptr ? "message" : "");
  if (type == "message") {
    take_message(item, path);
  } else if (type == "function_call_output") {
    take_output(item, path);
  } else if (type == "reasoning") {
    std::string_view sealed = json::string_or(item, "encrypted_content", "");
    if (!sealed.empty() && !sealed.starts_with("bW9jay1yZWFzb25pbmc6"))
      wrong("The encrypted content could not be verified.", path, "invalid_encrypted_content");
  } else if (type != "function_call" && type != "item_reference") {
    wrong(fmt::format("Invalid value: '{}'.", type), path + ".type", "invalid_value");
  }
}

// Every call has its result, every result its call.
void Reader::check_calls() {
  std::set<std::string_view> calls;
  std::set<std::string_view> results;
  for (const auto& item : request_.items) {
    std::string_view type = json::string_or(item, "type", "");
    std::string_view id = json::string_or(item, "call_id", "");
    if (type == "function_call") calls.insert(id);
    if (type != "function_call_output") continue;
    results.insert(id);
    if (!calls.contains(id))
      wrong(fmt::format("No tool call found for function call output with call_id {}.", id), "input");
  }
  for (std::string_view id : calls) {
    if (!results.contains(id)) wrong(fmt::format("No tool output found for function call {}.", id), "input");
  }
}

void Reader::take_previous(std::string_view id) {
  if (id.empty()) return;
  json::Value kept = shelf_.get(std::string(id));
  if (!id.starts_with("resp_") || kept.is_null()) {
    wrong(fmt::format("Previous response with id '{}' not found.", id), "previous_response_id",
          "previous_response_not_found");
    return;
  }
  request_.items = json::find(kept, "items")->get_array();
  for (const auto& item : json::find(*json::find(kept, "response"), "output")->get_array())
    request_.items.push_back(item);
}

void Reader::take_input(const json::Value& input) {
  if (input.is_string()) {
    request_.prompt.text = input.get_string();
    request_.items.push_back(
        {{"type", "message"}, {"role", "user"}, {"content", json::Array{{{"type", "input_text"}, {"text", input}}}}});
  } else if (input.is_array()) {
    for (std::size_t i = 0; i < input.get_array().size(); ++i) {
      take_item(input.get_array()[i], fmt::format("input[{}]", i));
      request_.items.push_back(input.get_array()[i]);
    }
  } else {
    wrong("Missing required parameter: 'input'.", "input", "missing_required_parameter");
  }
  if (!request_.prompt.results.empty()) request_.prompt.text.clear();
  check_calls();
  std::uint64_t seen = seed_;
  for (const auto& item : request_.items) {
    std::string text = json::dump(item);
    request_.beginnings.push_back(seen = hash(text, seen));
    request_.tokens.push_back(estimate_tokens(text));
  }
}

void Reader::take_tools(const json::Value& body) {
  Prompt& prompt = request_.prompt;
  const json::Value* tools = json::find(body, "tools");
  if (tools != nullptr && tools->is_array()) {
    for (std::size_t i = 0; i < tools->get_array().size(); ++i) {
      const json::Value& tool = tools->get_array()[i];
      if (json::string_or(tool, "type", "") != "function") continue;
      std::string name(json::string_or(tool, "name", ""));
      if (name.empty())
        wrong(fmt::format("Missing required parameter: 'tools[{}].name'.", i), fmt::format("tools[{}].name", i),
              "missing_required_parameter");
      const json::Value* parameters = json::find(tool, "parameters");
      prompt.tools.push_back({std::move(name), parameters != nullptr ? *parameters : json::Value()});
    }
  }
  const json::Value* choice = json::find(body, "tool_choice");
  if (choice != nullptr && choice->is_string() && choice->get_string() == "none") prompt.choose = Choose::none;
  if (choice != nullptr && choice->is_string() && choice->get_string() == "required") prompt.choose = Choose::required;
  if (choice != nullptr && choice->is_object() && json::string_or(*choice, "type", "") == "function")
    prompt.forced = json::string_or(*choice, "name", "");
  prompt.parallel = json::bool_or(body, "parallel_tool_calls", true);
}

void Reader::take_format(const json::Value& body) {
  const json::Value* text = json::find(body, "text");
  const json::Value* format = text != nullptr ? json::find(*text, "format") : nullptr;
  if (format == nullptr) return;
  std::string_view type = json::string_or(*format, "type", "text");
  if (type == "json_object") request_.prompt.format = Prompt::Format::object;
  if (type != "json_schema") return;
  const json::Value* schema = json::find(*format, "schema");
  if (schema == nullptr || json::string_or(*format, "name", "").empty()) {
    wrong("Missing required parameter: 'text.format.name' or 'text.format.schema'.", "text.format",
          "missing_required_parameter");
    return;
  }
  request_.prompt.format = Prompt::Format::schema;
  request_.prompt.schema = *schema;
}

void Reader::take_reasoning(const json::Value& body) {
  const json::Value* reasoning = json::find(body, "reasoning");
  if (reasoning != nullptr && reasoning->is_object()) {
    std::string_view effort = json::string_or(*reasoning, "effort", "");
    std::string_view summary =
        json::string_or(*reasoning, "summary", json::string_or(*reasoning, "generate_summary", ""));
    request_.prompt.think = effort != "none" && !(effort.empty() && summary.empty());
    request_.summarize = !summary.empty();
  }
  const json::Value* include = json::find(body, "include");
  if (include == nullptr || !include->is_array()) return;
  request_.encrypt = std::ranges::any_of(include->get_array(), [](const json::Value& what) {
    return what.is_string() && what.get_string() == "reasoning.encrypted_content";
  });
}

std::expected<ResponsesRequest, Refusal> Reader::take(json::Object given) {
  json::Value body = std::move(given);
  request_.model = json::string_or(body, "model", "");
  if (request_.model.empty()) wrong("Missing required parameter: 'model'.", "model", "missing_required_parameter");
  for (std::string_view name : {"messages", "max_tokens", "response_format"}) {
    if (json::find(body, name) != nullptr)
      wrong(fmt::format("Unsupported parameter: '{}'.", name), name, "unsupported_parameter");
  }
  request_.stream = json::bool_or(body, "stream", false);
  request_.store = json::bool_or(body, "store", true);
  request_.background = json::bool_or(body, "background", false);
  std::int64_t most = json::int_or(body, "max_output_tokens", INT32_MAX);
  if (most < 16)
    wrong("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.", "max_output_tokens",
          "integer_below_min_value");
  request_.prompt.tokens_max = static_cast<std::size_t>(std::max<std::int64_t>(most, 1));
  take_previous(json::string_or(body, "previous_response_id", ""));
  const json::Value* input = json::find(body, "input");
  take_input(input != nullptr ? *input : json::Value());
  take_tools(body);
  take_format(body);
  take_reasoning(body);
  if (mistake_) return std::unexpected(*mistake_);
  request_.body = std::move(body.get_object());
  return std::move(request_);
}

}  // namespace

std::expected<ResponsesRequest, Refusal> read_responses(std::string_view body, const DocumentShelf& shelf,
                                                        std::uint64_t seed) {
  auto value = json::parse(body);
  if (!value || !value->is_object()) return refuse("We could not parse the JSON body of your request.");
  return Reader(shelf, seed).take(std::move(value->get_object()));
}

}  // namespace penstock::mock
