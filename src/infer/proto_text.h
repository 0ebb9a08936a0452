// Protobuf's text format as a tree, without its schema: https://protobuf.dev/reference/protobuf/textformat-spec/
// What the fields are is for whoever reads the tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/document.h"

namespace penstock::infer {

struct ProtoField {
  enum class Kind {
    number,   // as written, with its sign: 7, -1, 0x1f, 1.5e3, inf
    string,   // unescaped, adjacent literals put together
    word,     // true, TYPE_FP32
    message,  // `fields`
  };
  std::string name;
  config::Mark at;
  Kind kind = Kind::word;
  std::string text;
  std::vector<ProtoField> fields;
};

// Messages within messages; deeper ones are refused.
constexpr int kProtoDepthMax = 64;

// A list becomes one field per element, in order. Fails with invalid_argument: "file:line:column: what is wrong".
// Extension and Any names ("[a.b/c]") keep their brackets.
Result<std::vector<ProtoField>> parse_proto_text(std::string_view text, const std::string& file);

// Protobuf's JSON form as the same tree: lowerCamelCase names become snake_case, arrays one field per element, null is
// left out. The members of maps, which JSON writes as objects, are told by `map_fields` (in snake_case): they become
// messages with `key` and `value`. Places are unknown.
Result<std::vector<ProtoField>> parse_proto_json(std::string_view text, const std::string& file,
                                                 const std::vector<std::string_view>& map_fields);

}  // namespace penstock::infer
