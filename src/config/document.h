// YAML to typed values with the place of every mistake. The schema is the code that reads: a key is known because
// somebody asked for it, and whatever nobody asked for is reported with the closest known name.
//
//   config::Document doc = ...;
//   config::Map map = doc.root().map();
//   auto every = map.duration("every", 1s);
//   auto url   = map.required_text("url");
//   map.done();                       // reports unknown keys
//   if (doc.failed()) ... doc.report()
//
// All mistakes of a file are collected, not just the first. Reading returns the fallback after a mistake, so that the
// rest can still be checked. Single-threaded.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/quantity.h"
#include "base/result.h"
#include "base/secret.h"

namespace penstock::config {

// 1-based, as editors count.
struct Mark {
  int line = 1;
  int column = 1;
};

struct Problem {
  Mark at;
  std::string message;
};

class Map;
struct Source;  // the parsed file, its problems, and the variables it may name

// A place in the document. Cheap to copy; valid as long as the Document or any other Node of it lives.
class Node {
 public:
  enum class Kind { absent, null, scalar, list, map };

  Node() = default;
  Kind kind() const;
  bool present() const { return kind() != Kind::absent; }
  Mark mark() const;
  // Dotted path from the root, for messages: pipelines.press-guard.steps[2].window
  const std::string& path() const { return path_; }
  // The place as people read it: gateway.yaml:12:7
  std::string where() const;

  // Typed reading. A wrong type or value is reported here and the fallback returned.
  Map map() const;
  std::vector<Node> items() const;  // of a list; a mistake when it is none
  std::string text(std::string_view fallback = {}) const;
  base::Secret secret() const;
  bool boolean(bool fallback = false) const;
  std::int64_t integer(std::int64_t fallback, std::int64_t least, std::int64_t most) const;
  double number(double fallback = 0) const;
  base::Duration duration(base::Duration fallback = {}) const;
  std::uint64_t size(std::uint64_t fallback = 0) const;
  double percent(double fallback = 0) const;
  double rate(double fallback = 0) const;
  std::string choice(std::initializer_list<std::string_view> allowed, std::string_view fallback) const;
  // The scalar as written, ${...} not replaced: safe to print.
  std::string raw() const;
  // Everything below this place in one canonical form, ${...} not replaced: for telling whether a reload changed it.
  std::string dump() const;

  // Reports a mistake at this place.
  void problem(std::string message) const;

 private:
  friend class Document;
  friend class Map;
  struct Impl;
  std::shared_ptr<const Impl> impl_;
  std::string path_;
};

// A mapping being read. Every accessor makes its key known.
class Map {
 public:
  bool has(std::string_view key);
  Node get(std::string_view key);       // absent Node when missing
  Node required(std::string_view key);  // reports when missing
  std::string text(std::string_view key, std::string_view fallback = {});
  std::string required_text(std::string_view key);
  base::Secret secret(std::string_view key);
  bool boolean(std::string_view key, bool fallback);
  std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most);
  double number(std::string_view key, double fallback);
  base::Duration duration(std::string_view key, base::Duration fallback);
  std::uint64_t size(std::string_view key, std::uint64_t fallback);
  double percent(std::string_view key, double fallback);
  double rate(std::string_view key, double fallback);
  std::string choice(std::string_view key, std::initializer_list<std::string_view> allowed, std::string_view fallback);
  // A list of strings; a single string stands for a list of one.
  std::vector<std::string> texts(std::string_view key);

  // Every entry in file order: for maps whose keys are names the user chose. Makes all keys known.
  std::vector<std::pair<std::string, Node>> entries();
  // Names in file order, without making them known.
  std::vector<std::string> keys() const;

  // Reports every key nobody asked for. Call once, after the last read.
  void done();
  const Node& node() const { return node_; }

 private:
  friend class Node;
  explicit Map(Node node) : node_(std::move(node)) {}
  Node node_;
  std::vector<std::string> known_;
};

// Looks up ${NAME}; null when not set. Tests pass their own.
using Environment = std::function<const char*(const std::string&)>;

class Document {
 public:
  // `name` appears in messages. Fails only when the text is no YAML at all; the error is one rendered problem.
  static Result<Document> parse(std::string_view text, std::string name, Environment environment = {});
  // Reads at most 4 MiB.
  static Result<Document> load(const std::string& path, Environment environment = {});

  Node root() const;
  bool failed() const;
  const std::vector<Problem>& problems() const;
  // One line per problem: file:line:column: message
  std::string report() const;
  const std::string& name() const;

 private:
  std::shared_ptr<Source> source_;
  Node root_;
};

}  // namespace penstock::config
