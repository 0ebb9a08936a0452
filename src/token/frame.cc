#include "token/frame.h"

#include <fmt/format.h>

namespace penstock::token {
namespace {

// ["[SEP]", 102]
std::uint32_t read_pair(const JsonNode& node) {
  auto items = node.items();
  bool pair = items.size() == 2 && items[1].value()->is_int64() && items[1].value()->get_int64() >= 0;
  if (pair) return static_cast<std::uint32_t>(items[1].value()->get_int64());
  node.wrong("must be a token and its number");
  return 0;
}

std::uint32_t read_type(const JsonNode& node) {
  std::int64_t type = node.integer("type_id", 0);
  if (type < 0 || type > 255) node.wrong("type_id must be 0 to 255");
  return static_cast<std::uint32_t>(type);
}

// A template's special token may stand for several.
void add_special(const JsonNode& special, const JsonNode& all, std::vector<Frame::Special>& out) {
  std::string name = special.text("id");
  JsonNode known = all.child(name);
  auto ids = known.child("ids").items();
  if (ids.empty()) special.wrong(fmt::format("'{}' is not among special_tokens", name.substr(0, 100)));
  std::uint32_t type = read_type(special);
  for (const JsonNode& id : ids) {
    if (!id.value()->is_int64() || id.value()->get_int64() < 0) return id.wrong("must be a token's number");
    out.push_back({static_cast<std::uint32_t>(id.value()->get_int64()), type});
  }
}

void add_template(const JsonNode& node, Frame& frame) {
  bool text = false;
  for (const JsonNode& item : node.child("single").items()) {
    JsonNode sequence = item.child("Sequence");
    if (sequence.present()) {
      if (text) return item.wrong("the text stands twice");
      text = true;
      frame.type = read_type(sequence);
      continue;
    }
    JsonNode special = item.child("SpecialToken");
    if (!special.present()) return item.wrong("is neither Sequence nor SpecialToken");
    add_special(special, node.child("special_tokens"), text ? frame.after : frame.before);
  }
  if (!text) node.wrong("single has no place for the text");
}

void add(const JsonNode& node, Frame& frame) {
  std::string type = node.type();
  if (type == "TemplateProcessing") {
    add_template(node, frame);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    frame.before.push_back({read_pair(node.child("cls")), 0});
    frame.after.push_back({read_pair(node.child("sep")), 0});
  } else if (type == "Sequence") {
    for (const JsonNode& item : node.child("processors").items()) {
      if (node.sound()) add(item, frame);
    }
  } else if (type != "ByteLevel") {  // that one is about offsets
    node.wrong(fmt::format("the post-processor '{}' is not supported here", type.substr(0, 100)));
  }
}

}  // namespace

Frame read_frame(const JsonNode& node) {
  Frame frame;
  if (node.present()) add(node, frame);
  constexpr std::size_t kSpecialsMax = 64;
  if (frame.size() > kSpecialsMax) node.wrong("has more than 64 special tokens");
  return frame;
}

}  // namespace penstock::token
