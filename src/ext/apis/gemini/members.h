// Objects of a client's JSON as protocol buffers read them: names in camelCase or snake_case, whole numbers also as
// strings, null for absent. The first mistake is kept; what nobody asked for is noted as unread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace penstock::ext {

struct Reading {
  std::optional<Error> error = std::nullopt;
  std::vector<std::string> unread = {};
  void wrong(std::string_view path, std::string_view what);
};

// One object. The document and the Reading must outlive it.
class Members {
 public:
  // Anything but an object is a mistake; null has no members.
  Members(Reading& reading, const json::Value* value, std::string path);

  // Null when absent or null.
  const json::Value* take(std::string_view name);
  std::string text(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name);
  std::optional<double> number(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  Members object(std::string_view name) { return {*reading_, take(name), at(name)}; }
  // The entries of a list with their paths; a single value counts as a list of one.
  std::vector<std::pair<const json::Value*, std::string>> list(std::string_view name);
  std::vector<std::string> texts(std::string_view name);

  std::string at(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + '.' + std::string(name);
  }
  const std::string& path() const { return path_; }
  void wrong(std::string_view name, std::string_view what) { reading_->wrong(at(name), what); }
  void unread(std::string_view name) { reading_->unread.push_back(at(name)); }
  bool empty() const { return members_.empty(); }
  // Everything that was not taken is unread. Call once, at the end.
  void done();

 private:
  struct Member {
    std::string name;  // in camelCase
    const json::Value* value;
    bool taken = false;
  };
  Reading* reading_;
  std::string path_;
  std::vector<Member> members_;
};

}  // namespace penstock::ext
