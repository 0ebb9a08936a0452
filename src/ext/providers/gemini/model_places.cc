#include "ext/providers/gemini/model_places.h"

#include "json/cursor.h"
#include "json/integers.h"

namespace penstock::ext {
namespace {

using json::Cursor;

void take_string(Cursor& in, std::vector<Place>& places) {
  bool string = in.peek() == Cursor::Kind::string;
  std::size_t begin = in.offset();
  in.skip();
  if (string) places.push_back({begin, in.offset()});
}

// The `model` of one object, and of those below it that are requests of their own.
void look(Cursor& in, chat::Operation operation, bool top, std::vector<Place>& places) {
  if (in.peek() != Cursor::Kind::object || !in.open_object()) {
    in.skip();
    return;
  }
  std::string_view key;
  while (in.next_member(key)) {
    bool list = top && operation == chat::Operation::embeddings && key == "requests";
    bool inner = top && operation == chat::Operation::count_tokens &&
                 (key == "generateContentRequest" || key == "generate_content_request");
    if (key == "model") {
      take_string(in, places);
    } else if (list && in.peek() == Cursor::Kind::array && in.open_array()) {
      while (in.next_element()) look(in, operation, false, places);
    } else if (inner) {
      look(in, operation, false, places);
    } else {
      in.skip();
    }
  }
}

}  // namespace

std::vector<Place> model_places(chat::Operation operation, std::string_view body) {
  std::vector<Place> places;
  if (!json::may_hold(body, "model")) return places;
  Cursor in(body);
  look(in, operation, true, places);
  if (in.failed()) places.clear();
  return places;
}

bool is_batch(std::string_view body) {
  if (!json::may_hold(body, "requests")) return false;
  Cursor in(body);
  std::string_view key;
  if (in.peek() != Cursor::Kind::object || !in.open_object()) return false;
  while (in.next_member(key)) {
    if (key == "requests") return true;
    in.skip();
  }
  return false;
}

}  // namespace penstock::ext
