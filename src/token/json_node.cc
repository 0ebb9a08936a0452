#include "token/json_node.h"

#include <fmt/format.h>

namespace penstock::token {

JsonNode JsonNode::child(std::string_view key) const {
  const json::Value* found = is_object() ? json::find(*value_, key) : nullptr;
  return {found, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key), *defect_};
}

std::vector<JsonNode> JsonNode::items() const {
  std::vector<JsonNode> nodes;
  if (!present()) return nodes;
  if (!value_->is_array()) {
    wrong("must be a list");
    return nodes;
  }
  for (const json::Value& item : value_->get_array())
    nodes.emplace_back(&item, fmt::format("{}[{}]", path_, nodes.size()), *defect_);
  return nodes;
}

std::string JsonNode::type() const {
  std::string name = text("type");
  if (name.empty()) wrong("does not say its type");
  return name;
}

std::string JsonNode::text(std::string_view key, std::string_view otherwise) const {
  JsonNode node = child(key);
  if (!node.present()) return std::string(otherwise);
  if (node.value_->is_string()) return {node.value_->get_string().data(), node.value_->get_string().size()};
  node.wrong("must be a string");
  return std::string(otherwise);
}

bool JsonNode::flag(std::string_view key, bool otherwise) const {
  JsonNode node = child(key);
  if (!node.present()) return otherwise;
  if (node.value_->is_bool()) return node.value_->get_bool();
  node.wrong("must be true or false");
  return otherwise;
}

std::int64_t JsonNode::integer(std::string_view key, std::int64_t otherwise) const {
  JsonNode node = child(key);
  if (!node.present()) return otherwise;
  if (node.value_->is_int64()) return node.value_->get_int64();
  node.wrong("must be a whole number");
  return otherwise;
}

void JsonNode::wrong(std::string_view what) const {
  if (defect_->empty()) *defect_ = fmt::format("{}: {}", path_.empty() ? "the file" : path_, what);
}

}  // namespace penstock::token
