#include "token/openai_chat.h"

#include <algorithm>
#include <array>

#include "json/cursor.h"
#include "token/chat_count.h"
#include "token/openai_message.h"

namespace penstock::token {
namespace {

constexpr std::array<std::string_view, 5> kSettings{"tools", "functions", "tool_choice", "function_call",
                                                    "response_format"};
constexpr std::size_t kNowhere = ~std::size_t{0};

class Body {
 public:
  Body(std::string_view body, const Encoding* encoding, std::string_view model)
      : body_(body), in_(body), tally_(encoding, model) {}

  Result<InputSize> walk() {
    json::Object settings;
    if (!outline(settings)) return fail(Errc::invalid_argument, in_.error());
    chat::Request request;
    if (!settings.empty()) read_openai_settings(std::move(settings), request, &known_);
    bool first = true;
    in_.seek(messages_);
    in_.open_array();
    while (in_.next_element()) message(!request.tools.empty(), first);
    if (in_.failed()) return fail(Errc::invalid_argument, in_.error());
    add_settings(request, !first, tally_);
    return tally_.size();
  }
  bool known() const { return known_; }

 private:
  // Checks the whole body; finds the messages, takes the settings.
  bool outline(json::Object& settings) {
    std::string_view key;
    if (!in_.open_object()) return false;
    while (in_.next_member(key)) {
      const auto* setting = std::find(kSettings.begin(), kSettings.end(), key);
      bool is_messages = key == "messages" && in_.peek() == json::Cursor::Kind::array;
      std::size_t begin = in_.offset();
      if (!in_.skip()) return false;
      if (is_messages) messages_ = begin;
      if (setting == kSettings.end()) continue;
      auto value = json::parse(body_.substr(begin, in_.offset() - begin));
      if (value) settings[*setting] = std::move(*value);
    }
    if (!in_.finish()) return false;
    return messages_ != kNowhere || in_.fault(0, "expected a list called messages");
  }

  void message(bool tools, bool& first) {
    Tally before = tally_;
    json::Cursor start = in_;
    if (in_.peek() == json::Cursor::Kind::object && plain_message(tools, first)) return;
    tally_ = before;
    in_ = std::move(start);
    std::size_t begin = in_.offset();
    if (!in_.skip()) return;
    auto value = json::parse(body_.substr(begin, in_.offset() - begin));
    if (value) add_message(read_openai_message(*value, &known_), tools, first, tally_);
  }

  // Role, name and texts. False, and nothing done but reading, when there is more to it.
  bool plain_message(bool tools, bool& first) {
    enum { kNone, kSystem, kOther } role = kNone;
    std::string_view key;
    in_.open_object();
    tally_.message();
    while (in_.next_member(key)) {
      if (key == "role") {
        if (!read_text()) return false;
        if (text_ != "system" && text_ != "developer" && text_ != "user" && text_ != "assistant") return false;
        role = text_ == "system" ? kSystem : kOther;
      } else if (key == "content") {
        if (!content()) return false;
      } else if (key == "name") {
        if (!read_text()) return false;
        if (!text_.empty()) tally_.name(text_);
      } else {
        return false;
      }
    }
    if (in_.failed() || role == kNone || (role == kSystem && tools && first)) return false;
    if (role == kSystem) first = false;
    return true;
  }

  bool content() {
    if (in_.peek() == json::Cursor::Kind::null) return in_.read_null();
    if (in_.peek() == json::Cursor::Kind::array) {
      in_.open_array();
      while (in_.next_element()) {
        if (in_.peek() != json::Cursor::Kind::object || !text_part()) return false;
      }
      return !in_.failed();
    }
    if (!read_text()) return false;
    tally_.text(text_);
    return true;
  }

  bool text_part() {
    std::string_view key;
    bool typed = false, said = false;
    in_.open_object();
    while (in_.next_member(key)) {
      if (key == "type") {
        if (!read_text() || text_ != "text") return false;
        typed = true;
      } else if (key == "text" && !said) {
        if (!read_text()) return false;
        tally_.text(text_);
        said = true;
      } else {
        return false;
      }
    }
    return typed && said && !in_.failed();
  }

  bool read_text() { return in_.peek() == json::Cursor::Kind::string && in_.read_string(text_); }

  std::string_view body_;
  json::Cursor in_;
  Tally tally_;
  std::size_t messages_ = kNowhere;
  bool known_ = true;
  std::string text_;
};

}  // namespace

Result<std::int64_t> count_openai_chat(std::string_view body, const Encoding& encoding, std::string_view model,
                                       bool* known) {
  Body walked(body, &encoding, model);
  auto size = walked.walk();
  if (!size) return std::unexpected(size.error());
  if (known != nullptr && !walked.known()) *known = false;
  return size->tokens;
}

Result<InputSize> measure_openai_chat(std::string_view body, std::string_view model) {
  return Body(body, nullptr, model).walk();
}

}  // namespace penstock::token
