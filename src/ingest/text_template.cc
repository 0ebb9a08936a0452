#include "ingest/text_template.h"

namespace penstock::ingest {
namespace {

// The end of the expression that begins at `from`: the first '}' outside of quotes; npos when there is none.
std::size_t end_of_place(std::string_view text, std::size_t from) {
  char quote = 0;
  for (std::size_t i = from; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
      quote = c;
    } else if (c == '}') {
      return i;
    }
  }
  return std::string_view::npos;
}

void append_value(std::string& out, const Term& term) {
  const std::string text = term.is_null() ? "-" : to_text(term, TextTemplate::kValueBytesMax);
  for (char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
}

}  // namespace

std::optional<TextTemplate> TextTemplate::read(const config::Node& node) {
  const std::string text = node.text();
  if (text.size() > kBytesMax) {
    node.problem(fmt::format("is longer than {} bytes", kBytesMax));
    return std::nullopt;
  }
  TextTemplate result;
  std::string literal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
    if (text[i] != '{' && text[i] != '}') {
      literal += text[i];
    } else if (doubled) {
      literal += text[i++];
    } else if (text[i] == '}') {
      node.problem(fmt::format("column {}: a '}}' without its '{{'; write '}}}}' for the character", i + 1));
      return std::nullopt;
    } else {
      const std::size_t end = end_of_place(text, i + 1);
      if (end == std::string::npos) {
        node.problem(fmt::format("column {}: a '{{' without its '}}'; write '{{{{' for the character", i + 1));
        return std::nullopt;
      }
      auto value = Expression::compile(std::string_view(text).substr(i + 1, end - i - 1));
      if (!value) {
        node.problem(fmt::format("in the braces at column {}: {}", i + 1, value.error().detail));
        return std::nullopt;
      }
      result.parts_.push_back({std::exchange(literal, {}), std::move(*value)});
      i = end;
    }
  }
  result.parts_.push_back({std::move(literal), std::nullopt});
  return result;
}

std::string TextTemplate::render(const Sample& sample) const {
  std::string out;
  for (const Part& part : parts_) {
    out += part.literal;
    if (part.value) append_value(out, part.value->evaluate(sample));
    if (out.size() > kBytesMax) break;
  }
  return out;
}

}  // namespace penstock::ingest
