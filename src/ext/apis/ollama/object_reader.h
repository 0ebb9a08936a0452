// One JSON object of a client's, read member by member with the path of every mistake. A member that is null counts as
// absent. The first mistake stays; reading goes on with fallbacks, so that checking once at the end is enough.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace penstock::ext {

class ObjectReader {
 public:
  // What the readers of one request share.
  struct Findings {
    std::optional<Error> mistake = std::nullopt;
    std::vector<std::string> unread;  // paths of members nobody asked for
  };

  // `path` with its dot at the end, empty for the top. `value` and `findings` outlive the reader. A value that is no
  // object is a mistake, and reads as an empty one.
  ObjectReader(const json::Value& value, std::string path, Findings& findings);

  // Null when absent. Makes the name known.
  const json::Value* get(std::string_view name);
  std::string text(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name);
  // Also when written as 12.0; a mistake beyond 64 bits.
  std::optional<std::int64_t> integer(std::string_view name);
  // Null when absent.
  const json::Array* list(std::string_view name);
  std::vector<std::string> texts(std::string_view name);

  // Adds every member that nobody asked for to the unread ones, unless it is null or empty.
  void done();
  // "must be a string" at this member.
  void mistake(std::string_view name, std::string_view what);
  std::string path(std::string_view name) const { return path_ + std::string(name); }
  Findings& findings() { return findings_; }

 private:
  const json::Object* object_ = nullptr;
  std::string path_;
  Findings& findings_;
  std::vector<std::string_view> known_;
};

}  // namespace penstock::ext
