// The objects of a request in OpenAI's dialect, read field by field. The first mistake stays, with the path of the
// field; what nobody takes is remembered as unread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace penstock::ext {

// Where something stands: "messages[3].content[0]". Parents outlive their children.
struct OpenAiPlace {
  const OpenAiPlace* parent = nullptr;
  std::string_view name = {};
  std::optional<std::size_t> index = std::nullopt;
  std::string text() const;
};

struct OpenAiReading {
  std::optional<Error> mistake = std::nullopt;
  std::vector<std::string> unread = {};
  // Remembers what nobody reads, of the first hundred.
  void leave_unread(const OpenAiPlace& place);
  // Remembers the first: "messages[3].role: must be a string".
  void fail(const OpenAiPlace& place, std::string_view what);
};

// A field that is null counts as absent. Getters of a wrong type record a mistake and return as if it were absent.
// Fields that were not taken when the reader goes are unread.
class OpenAiObject {
 public:
  OpenAiObject(const json::Value& value, OpenAiPlace place, OpenAiReading& reading);
  ~OpenAiObject();
  OpenAiObject(const OpenAiObject&) = delete;
  OpenAiObject& operator=(const OpenAiObject&) = delete;

  const json::Value* take(std::string_view name);
  std::string_view string(std::string_view name);  // empty when absent
  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name,
                                      std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                                      std::int64_t most = std::numeric_limits<std::int64_t>::max());
  const json::Array* list(std::string_view name);
  const json::Value* object(std::string_view name);
  // It is here and must not be reported.
  void skip(std::string_view name) { take(name); }
  void unread(std::string_view name);

  OpenAiPlace at(std::string_view name) const { return {&place_, name}; }
  OpenAiPlace at(std::string_view name, std::size_t index) const { return {&place_, name, index}; }
  const OpenAiPlace& place() const { return place_; }
  void fail(std::string_view name, std::string_view what) { reading_.fail(at(name), what); }
  OpenAiReading& reading() { return reading_; }

 private:
  const json::Object* object_;
  OpenAiPlace place_;
  OpenAiReading& reading_;
  std::vector<bool> taken_;
};

}  // namespace penstock::ext
