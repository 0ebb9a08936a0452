#include "token/function_text.h"

#include <algorithm>

namespace penstock::token {
namespace {

std::string_view view(const boost::json::string& text) { return {text.data(), text.size()}; }

// The schema's "enum" as a union; false when it has none.
bool append_choices(std::string& out, const json::Value& schema, bool quoted) {
  const json::Value* choices = json::find(schema, "enum");
  if (choices == nullptr || !choices->is_array()) return false;
  bool first = true;
  for (const json::Value& choice : choices->get_array()) {
    if (!std::exchange(first, false)) out += " | ";
    out += choice.is_string() && !quoted ? std::string(view(choice.get_string())) : json::dump(choice);
  }
  return true;
}

void append_members(std::string& out, const json::Value& schema, std::size_t indent);

void append_type(std::string& out, const json::Value& schema, std::size_t indent) {
  std::string_view type = json::string_or(schema, "type", "");
  if (type == "string") {
    if (!append_choices(out, schema, true)) out += type;
  } else if (type == "integer" || type == "number") {
    if (!append_choices(out, schema, false)) out += "number";
  } else if (type == "boolean" || type == "null") {
    out += type;
  } else if (type == "array") {
    if (const json::Value* items = json::find(schema, "items")) {
      append_type(out, *items, indent);
    } else {
      out += "any";
    }
    out += "[]";
  } else if (type == "object") {
    out += "{\n";
    append_members(out, schema, indent + 2);
    out.append("\n").append(indent, ' ').append("}");
  } else {
    out += "any";
  }
}

bool is_required(const json::Value& schema, std::string_view name) {
  const json::Value* required = json::find(schema, "required");
  if (required == nullptr || !required->is_array()) return false;
  const json::Array& names = required->get_array();
  return std::any_of(names.begin(), names.end(),
                     [&](const json::Value& one) { return one.is_string() && view(one.get_string()) == name; });
}

const json::Object* members_of(const json::Value& schema) {
  const json::Value* members = json::find(schema, "properties");
  return members != nullptr && members->is_object() ? &members->get_object() : nullptr;
}

// One line a member, with its description above it where nothing is nested.
void append_members(std::string& out, const json::Value& schema, std::size_t indent) {
  const json::Object* members = members_of(schema);
  if (members == nullptr) return;
  bool first = true;
  for (const auto& [key, member] : *members) {
    if (!std::exchange(first, false)) out += '\n';
    std::string_view about = indent < 2 ? json::string_or(member, "description", "") : "";
    if (!about.empty()) out.append(indent, ' ').append("// ").append(about).append("\n");
    std::string_view name(key.data(), key.size());
    out.append(indent, ' ').append(name).append(is_required(schema, name) ? ": " : "?: ");
    append_type(out, member, indent);
    out += ',';
  }
}

}  // namespace

std::string write_function_text(const std::vector<chat::Tool>& tools) {
  std::string out = "namespace functions {\n\n";
  for (const chat::Tool& tool : tools) {
    if (!tool.description.empty()) out.append("// ").append(tool.description).append("\n");
    const json::Object* members = members_of(tool.schema);
    if (members == nullptr || members->empty()) {
      out.append("type ").append(tool.name).append(" = () => any;\n\n");
      continue;
    }
    out.append("type ").append(tool.name).append(" = (_: {\n");
    append_members(out, tool.schema, 0);
    out += "\n}) => any;\n\n";
  }
  return out += "} // namespace functions";
}

}  // namespace penstock::token
