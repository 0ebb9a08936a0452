#include "ext/apis/oip/generate_codec.h"

#include "json/value.h"
#include "json/writer.h"

namespace penstock::ext {
namespace {

using chat::Field;

// What the provider said went wrong when all it said is that something did.
constexpr std::string_view kFailed = "the model failed to finish its answer";
// Of a request, kept for its answer.
constexpr std::string_view kId = "id";
constexpr std::string_view kDetails = "details";

bool set_number(const json::Value& value, std::optional<double>& out) {
  boost::system::error_code error;
  if (value.is_number()) out = value.to_number<double>(error);
  return value.is_number() && !error;
}

bool set_whole(const json::Value& value, std::optional<std::int64_t>& out, std::int64_t least) {
  boost::system::error_code error;
  if (value.is_number()) out = value.to_number<std::int64_t>(error);
  return value.is_number() && !error && *out >= least;
}

bool set_stop(chat::Request& request, const json::Value& value) {
  if (value.is_string()) {
    if (!value.get_string().empty()) request.stop = {std::string(value.get_string())};
    return true;
  }
  if (!value.is_array()) return false;
  for (const json::Value& word : value.get_array()) {
    if (!word.is_string()) return false;
    request.stop.emplace_back(word.get_string());
  }
  return true;
}

struct Parameter {
  std::string_view name;
  Field field;
  bool (*set)(chat::Request&, const json::Value&);
  std::string_view wanted;
};

template <std::optional<double> chat::Request::* member>
bool number(chat::Request& request, const json::Value& value) {
  return set_number(value, request.*member);
}
template <std::optional<std::int64_t> chat::Request::* member, std::int64_t least>
bool whole(chat::Request& request, const json::Value& value) {
  return set_whole(value, request.*member, least);
}

constexpr Parameter kParameters[] = {
    {"max_tokens", Field::max_output_tokens, whole<&chat::Request::max_output_tokens, 1>, "a whole number from 1 on"},
    {"temperature", Field::temperature, number<&chat::Request::temperature>, "a number"},
    {"top_p", Field::top_p, number<&chat::Request::top_p>, "a number"},
    {"min_p", Field::min_p, number<&chat::Request::min_p>, "a number"},
    {"top_k", Field::top_k, whole<&chat::Request::top_k, 0>, "a whole number from 0 on"},
    {"seed", Field::seed, whole<&chat::Request::seed, INT64_MIN>, "a whole number"},
    {"presence_penalty", Field::presence_penalty, number<&chat::Request::presence_penalty>, "a number"},
    {"frequency_penalty", Field::frequency_penalty, number<&chat::Request::frequency_penalty>, "a number"},
    {"repetition_penalty", Field::repeat_penalty, number<&chat::Request::repeat_penalty>, "a number"},
    {"stop", Field::stop, set_stop, "a text or a list of texts"},
};

std::unexpected<Error> wrong(std::string_view name, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("{}: must be {}", name, wanted));
}

Result<void> take_parameter(chat::Request& request, const std::string& path, std::string_view name,
                            const json::Value& value) {
  if (value.is_null()) return {};
  // Which of the two paths was called says whether it streams.
  if (name == "stream") return value.is_bool() ? Result<void>{} : wrong(path, "true or false");
  if (name == kDetails) {
    if (!value.is_bool()) return wrong(path, "true or false");
    request.echo[kDetails] = value;
    return {};
  }
  for (const Parameter& known : kParameters) {
    if (known.name != name) continue;
    return known.set(request, value) ? Result<void>{} : wrong(path, known.wanted);
  }
  request.unread.push_back(path);
  return {};
}

Result<void> take_member(chat::Request& request, std::string_view name, const json::Value& value) {
  if (name == "text_input") {
    if (!value.is_string() || value.get_string().empty()) return wrong(name, "a text");
    chat::Message message{.role = chat::Role::user};
    message.parts.push_back({.content = chat::Text{std::string(value.get_string())}});
    request.messages.push_back(std::move(message));
    return {};
  }
  if (name == kId) {
    if (!value.is_string()) return wrong(name, "a text");
    request.echo[kId] = value;
    return {};
  }
  if (name != "parameters") return take_parameter(request, std::string(name), name, value);
  if (!value.is_object()) return wrong(name, "an object");
  for (const auto& [key, one] : value.get_object()) {
    if (auto taken = take_parameter(request, fmt::format("parameters.{}", std::string_view(key)), key, one); !taken)
      return taken;
  }
  return {};
}

// generate_rest.yaml knows three reasons.
std::string_view reason_of(chat::Finish finish) {
  if (finish == chat::Finish::length || finish == chat::Finish::context_length) return "length";
  return finish == chat::Finish::stop_sequence ? "stop_sequence" : "eos_token";
}

bool wants_details(const chat::Request& request) {
  const json::Value* details = request.echo.if_contains(kDetails);
  return details != nullptr && details->get_bool();
}

// `finish` none: more follows.
std::string written(const chat::Request& request, std::string_view text, chat::Finish finish) {
  std::string out;
  json::Writer writer(out);
  writer.open_object();
  if (const json::Value* id = request.echo.if_contains(kId)) writer.member("id", *id);
  writer.member("model_name", request.model).member("model_version", kGenerateVersion).member("text_output", text);
  if (finish != chat::Finish::none && wants_details(request)) {
    writer.key("details").open_object().member("finish_reason", reason_of(finish));
    // Tokens as the model made them, with their ids, are known to nobody but the provider.
    writer.key("logprobs").open_array().close_array().close_object();
  }
  writer.close_object();
  return out;
}

std::string error_json(std::string_view message) {
  std::string out;
  json::Writer(out).open_object().member("error", message).close_object();
  return out;
}

class GenerateWriter : public chat::StreamWriter {
 public:
  explicit GenerateWriter(const chat::Request& request) : request_(request) {}
  void begin(const chat::StreamHead&) override {}
  void text(int choice, std::string_view text) override {
    if (choice == 0) add(written(request_, text, chat::Finish::none));
  }
  void citation(int, const chat::Citation&) override {}
  void refusal(int choice, std::string_view words) override { text(choice, words); }
  void thinking(int, std::string_view) override {}
  void thinking_end(int, const chat::Signature&, bool) override {}
  void media(int, const chat::Media&) override {}
  void call(int, int, std::string_view, std::string_view, const chat::Signature&) override {}
  void arguments(int, int, std::string_view) override {}
  void logprobs(int, const json::Value&) override {}
  void finish(int choice, chat::Finish finish, std::string_view) override {
    if (choice == 0) finish_ = finish;
  }
  void usage(const chat::Usage&) override {}
  void error(const chat::ProviderError& error) override { add(error_json(error.message)); }
  void end() override {
    if (finish_ == chat::Finish::error) return add(error_json(kFailed));
    if (wants_details(request_))
      add(written(request_, "", finish_ == chat::Finish::none ? chat::Finish::stop : finish_));
  }

 private:
  void add(const std::string& event) { base::append(output_, "data: ", event, "\n\n"); }

  const chat::Request& request_;
  chat::Finish finish_ = chat::Finish::none;
};

}  // namespace

Result<chat::Request> GenerateCodec::read_request(std::string_view body) const {
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  if (!parsed->is_object()) return fail(Errc::invalid_argument, "the body must be an object with 'text_input'");
  chat::Request request;
  for (const auto& [key, value] : parsed->get_object()) {
    if (auto taken = take_member(request, key, value); !taken) return std::unexpected(taken.error());
  }
  if (request.messages.empty()) return wrong("text_input", "a text");
  return request;
}

std::string GenerateCodec::write_answer(const chat::Request& request, const chat::Answer& answer) const {
  static const chat::Choice kNothing;
  const chat::Choice& choice = answer.choices.empty() ? kNothing : answer.choices.front();
  if (choice.finish == chat::Finish::error) return error_json(kFailed);
  std::string text;
  for (const chat::Part& part : choice.parts) {
    if (const auto* said = std::get_if<chat::Text>(&part.content)) text += said->text;
    if (const auto* refused = std::get_if<chat::Refusal>(&part.content)) text += refused->text;
  }
  return written(request, text, choice.finish == chat::Finish::none ? chat::Finish::stop : choice.finish);
}

std::unique_ptr<chat::StreamWriter> GenerateCodec::stream_writer(const chat::Request& request) const {
  return std::make_unique<GenerateWriter>(request);
}

std::string_view GenerateCodec::field_name(chat::Field field) const {
  for (const Parameter& known : kParameters) {
    if (known.field == field) return known.name;
  }
  return chat::to_string(field);
}

std::string GenerateCodec::write_error(const chat::ProviderError& error) const { return error_json(error.message); }

}  // namespace penstock::ext
