#include "json/peek.h"

#include <simdjson.h>

#include "json/value.h"

namespace penstock::json {
namespace {

namespace sj = simdjson;

// The whole document is validated by the DOM parser; the on-demand parser then finds where the fields stand.
struct Parsers {
  sj::dom::parser dom;
  sj::ondemand::parser on_demand;
};

Parsers& parsers() {
  thread_local Parsers instance;
  return instance;
}

std::unexpected<Error> malformed(sj::error_code code) {
  return fail(Errc::invalid_argument, fmt::format("malformed JSON: {}", sj::error_message(code)));
}

void read_value(const sj::dom::element& element, Field& field) {
  switch (element.type()) {
    case sj::dom::element_type::NULL_VALUE: field.kind = Field::Kind::null; break;
    case sj::dom::element_type::BOOL:
      field.kind = Field::Kind::boolean;
      field.boolean = element.get_bool().value_unsafe();
      break;
    case sj::dom::element_type::INT64:
      field.kind = Field::Kind::integer;
      field.integer = element.get_int64().value_unsafe();
      break;
    case sj::dom::element_type::UINT64:
    case sj::dom::element_type::DOUBLE:
      field.kind = Field::Kind::number;
      field.number = element.get_double().value_unsafe();
      break;
    case sj::dom::element_type::STRING:
      field.kind = Field::Kind::string;
      field.string = std::string(element.get_string().value_unsafe());
      break;
    case sj::dom::element_type::ARRAY:
      field.kind = Field::Kind::array;
      field.elements = element.get_array().value_unsafe().size();
      break;
    case sj::dom::element_type::OBJECT: field.kind = Field::Kind::object; break;
  }
}

// Where each requested value stands. The document is known to be valid, so on-demand cannot fail on content.
Result<void> locate(std::string_view text, std::span<const std::string_view> names, Peeked& peeked) {
  sj::ondemand::document document;
  auto error = parsers().on_demand.iterate(text.data(), text.size(), text.size() + kPadding).get(document);
  if (error) return malformed(error);
  sj::ondemand::object object;
  if (auto bad = document.get_object().get(object)) return malformed(bad);
  for (auto member : object) {
    std::string_view key;
    sj::ondemand::value value;
    if (auto bad = member.unescaped_key().get(key)) return malformed(bad);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] != key) continue;
      if (auto bad = member.value().get(value)) return malformed(bad);
      std::string_view raw;
      sj::ondemand::json_type type{};
      if (auto bad = value.type().get(type)) return malformed(bad);
      const char* start = nullptr;
      if (auto bad = value.current_location().get(start)) return malformed(bad);
      Field& field = peeked.fields[i];
      field.begin = static_cast<std::size_t>(start - text.data());
      if (type == sj::ondemand::json_type::array || type == sj::ondemand::json_type::object) {
        sj::ondemand::array array;
        sj::ondemand::object nested;
        if (type == sj::ondemand::json_type::array) {
          if (auto bad = value.get_array().get(array)) return malformed(bad);
          if (auto bad = array.raw_json().get(raw)) return malformed(bad);
        } else {
          if (auto bad = value.get_object().get(nested)) return malformed(bad);
          if (auto bad = nested.raw_json().get(raw)) return malformed(bad);
        }
      } else {
        raw = value.raw_json_token();
      }
      // Whatever the kind, the parser's view may go on through the blanks up to the next token.
      while (!raw.empty() && (raw.back() == ' ' || raw.back() == '\n' || raw.back() == '\r' || raw.back() == '\t'))
        raw.remove_suffix(1);
      field.end = field.begin + raw.size();
      break;
    }
  }
  return {};
}

}  // namespace

Result<Peeked> peek(std::string_view text, std::span<const std::string_view> names) {
  // A parser keeps room for its largest document. Large ones are rare: they get parsers that go away with them.
  constexpr std::size_t kKeptBytes = 256 * 1024;
  struct Release {
    bool wanted;
    ~Release() {
      if (wanted) parsers() = Parsers();
    }
  } release{text.size() > kKeptBytes};
  Peeked peeked;
  peeked.fields.resize(names.size());
  sj::dom::element root;
  sj::dom::parser& parser = parsers().dom;
  if (parser.max_depth() != kDepthMax) {
    if (auto bad = parser.allocate(text.size() + kPadding, kDepthMax)) return malformed(bad);
  }
  // A byte order mark is not JSON: RFC 8259 section 8.1 lets a parser refuse it, and only some versions do.
  if (text.starts_with("\xEF\xBB\xBF"))
    return fail(Errc::invalid_argument, "malformed JSON: it starts with a byte order mark");
  if (auto bad = parser.parse(text.data(), text.size(), false).get(root)) return malformed(bad);
  sj::dom::object object;
  if (root.get_object().get(object)) {
    return fail(Errc::invalid_argument, "the request body must be a JSON object");
  }
  peeked.empty = object.begin() == object.end();
  bool any = false;
  for (auto member : object) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (member.key != names[i]) continue;
      if (peeked.fields[i].kind != Field::Kind::absent) {
        return fail(Errc::invalid_argument, fmt::format("the field '{}' appears twice in the request body", names[i]));
      }
      read_value(member.value, peeked.fields[i]);
      any = true;
    }
  }
  peeked.object_begin = text.find('{');
  if (any) {
    if (auto located = locate(text, names, peeked); !located) return std::unexpected(located.error());
  }
  return peeked;
}

}  // namespace penstock::json
