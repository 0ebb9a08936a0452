#include "ext/providers/gemini/contents_writer.h"

#include <fmt/format.h>

#include <map>

#include "chat/data_url.h"

namespace penstock::ext {
namespace {

using chat::Family;
using chat::Field;
using chat::Media;

// Google's word for a call that no model of its own sealed, given back to one that demands a seal.
constexpr std::string_view kUnsealed = "skip_thought_signature_validator";

json::Value text_part(std::string_view text) { return json::Object{{"text", text}}; }

std::string type_of(const Media& media) {
  if (!media.type.empty()) return media.type;
  std::string_view found = media.data.empty() ? chat::media_type_of_name(media.url.empty() ? media.name : media.url)
                                              : chat::sniff_media_type(media.data);
  if (!found.empty() || media.data.empty()) return std::string(found);
  return media.kind == Media::Kind::image ? "image/png" : "application/octet-stream";
}

// Files of Google's own: in its API, in its cloud.
bool is_own_file(std::string_view file) {
  return file.starts_with("files/") || file.starts_with("gs://") || file.starts_with("https://");
}

class ContentsWriter {
 public:
  ContentsWriter(const chat::Request& request, const GeminiModel& model, chat::Dropped& dropped)
      : request_(request), model_(model), dropped_(dropped) {
    for (const chat::Message& message : request.messages) {
      if (!message.name.empty()) dropped.add(Field::message_name);
      for (const chat::Part& part : message.parts) {
        if (const auto* call = std::get_if<chat::ToolCall>(&part.content)) names_[call->id] = call->name;
      }
    }
  }

  Result<Contents> write() {
    chat::Conversation conversation = chat::alternate(request_);
    Contents out;
    json::Array instructions = parts(conversation.instructions, false);
    for (const chat::Turn& turn : conversation.turns) {
      json::Array made = parts(turn.parts, turn.assistant);
      if (made.empty()) continue;
      out.contents.push_back(json::Object{{"role", turn.assistant ? "model" : "user"}, {"parts", std::move(made)}});
    }
    if (error_) return std::unexpected(*error_);
    if (out.contents.empty()) {
      // Instructions alone are refused, but make sense as a question.
      if (instructions.empty()) return fail(Errc::invalid_argument, "messages: there is nothing to say to the model");
      out.contents.push_back(json::Object{{"role", "user"}, {"parts", std::move(instructions)}});
    } else if (!instructions.empty()) {
      out.instruction["parts"] = std::move(instructions);
    }
    return out;
  }

 private:
  json::Array parts(const std::vector<const chat::Part*>& from, bool assistant) {
    out_.clear();
    behind_results_.clear();
    bool sealed = !assistant;  // the first call of a turn carries the seal of all
    bool results = true;
    for (const chat::Part* part : from) {
      if (part->cache) dropped_.add(Field::cache_control);
      if (results && !std::holds_alternative<chat::ToolResult>(part->content)) {
        results = false;
        append_media();
      }
      if (const auto* call = std::get_if<chat::ToolCall>(&part->content)) {
        add_call(*call, sealed);
        sealed = true;
      } else {
        std::visit([this](const auto& each) { add(each); }, part->content);
      }
    }
    append_media();
    return std::move(out_);
  }

  void append_media() {
    for (json::Value& part : behind_results_) out_.push_back(std::move(part));
    behind_results_.clear();
  }

  void add(const chat::Text& part) {
    if (!part.citations.empty()) dropped_.add(Field::citations);
    out_.push_back(text_part(part.text));
  }

  void add(const Media& part) {
    if (auto made = media_part(part)) out_.push_back(std::move(*made));
  }

  void add(const chat::Thinking& part) {
    if (part.signature.empty() || part.signature.family != Family::gemini) {
      dropped_.add(Field::thinking);
      return;
    }
    json::Object made{{"text", part.redacted ? "" : part.text}};
    if (!part.redacted) made["thought"] = true;
    made["thoughtSignature"] = part.signature.bytes;
    out_.push_back(json::Value(std::move(made)));
  }

  void add(const chat::ToolCall&) {}

  void add(const chat::Refusal& part) {
    if (!part.text.empty()) out_.push_back(text_part(part.text));
  }

  void add_call(const chat::ToolCall& call, bool sealed) {
    bool none = call.arguments.find_first_not_of(" \t\r\n") == std::string::npos;
    auto args = json::parse(none ? "{}" : std::string_view(call.arguments));
    if (!args || !args->is_object()) {
      wrong(fmt::format("the arguments of the call '{}' of '{}' are no JSON object", call.id, call.name));
      return;
    }
    json::Object function{{"name", call.name}, {"args", std::move(*args)}};
    if (!call.id.empty()) function["id"] = call.id;
    json::Object made{{"functionCall", std::move(function)}};
    if (!call.signature.empty() && call.signature.family == Family::gemini)
      made["thoughtSignature"] = call.signature.bytes;
    else if (model_.third && !sealed)
      made["thoughtSignature"] = kUnsealed;
    out_.push_back(json::Value(std::move(made)));
  }

  void add(const chat::ToolResult& result) {
    auto known = names_.find(result.id);
    std::string_view name = !result.name.empty()    ? std::string_view(result.name)
                            : known != names_.end() ? std::string_view(known->second)
                                                    : std::string_view();
    if (name.empty()) {
      wrong(fmt::format("the tool result for the call '{}' belongs to no call of the conversation", result.id));
      return;
    }
    std::string text;
    bool any_text = false;
    json::Array media;
    for (const auto& entry : result.content) {
      if (const auto* said = std::get_if<chat::Text>(&entry)) {
        if (std::exchange(any_text, true)) text += '\n';
        text += said->text;
      } else if (auto made = media_part(std::get<Media>(entry))) {
        (model_.media_in_results ? media : behind_results_).push_back(std::move(*made));
      }
    }
    json::Object function{{"name", name}, {"response", response(text, result.error)}};
    if (!result.id.empty()) function["id"] = result.id;
    if (!media.empty()) function["parts"] = std::move(media);
    out_.push_back(json::Object{{"functionResponse", std::move(function)}});
  }

  // A response is an object: the result itself when it is one that means nothing else, else under "output", the API's
  // name.
  static json::Object response(const std::string& text, bool error) {
    if (error) return {{"error", text}};
    if (text.empty()) return {};
    json::Object named{{"output", text}};
    if (!text.starts_with('{')) return named;
    auto parsed = json::parse(text);
    if (!parsed || !parsed->is_object() || parsed->get_object().empty()) return named;
    for (std::string_view key : {"error", "result", "output"}) {
      if (parsed->get_object().contains(key)) return named;
    }
    return std::move(parsed->get_object());
  }

  std::optional<json::Value> media_part(const Media& media) {
    if (!media.detail.empty() && media.detail != "auto") dropped_.add(Field::image_detail);
    // Only Vertex takes a name beside the bytes.
    if (media.kind != Media::Kind::image && !media.name.empty()) dropped_.add(Field::title);
    std::string type = type_of(media);
    if (!media.data.empty()) {
      if (type == "text/plain") return text_part(media.data);
      return json::Object{{"inlineData", json::Object{{"mimeType", type}, {"data", media.data}}}};
    }
    const std::string& uri = media.url.empty() ? media.file : media.url;
    if (media.url.empty() && !is_own_file(uri)) {
      dropped_.add(Field::file);
      return std::nullopt;
    }
    json::Object file;
    if (!type.empty()) file["mimeType"] = type;
    file["fileUri"] = uri;
    return json::Object{{"fileData", std::move(file)}};
  }

  void wrong(std::string what) {
    if (!error_) error_ = Error{Errc::invalid_argument, std::move(what)};
  }

  const chat::Request& request_;
  const GeminiModel& model_;
  chat::Dropped& dropped_;
  std::map<std::string, std::string> names_;  // of the calls, by id
  json::Array out_;
  json::Array behind_results_;  // media of results, for models whose results hold none
  std::optional<Error> error_;
};

}  // namespace

Result<Contents> write_contents(const chat::Request& request, const GeminiModel& model, chat::Dropped& dropped) {
  return ContentsWriter(request, model, dropped).write();
}

}  // namespace penstock::ext
