#include "config/document.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "config/substitute.h"

namespace penstock::config {

struct Source {
  std::string name;
  Environment environment;
  std::vector<Problem> problems;
};

struct Node::Impl {
  YAML::Node yaml;
  std::shared_ptr<Source> source;
  Mark mark;
};

namespace {

Mark to_mark(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

}  // namespace

Node::Kind Node::kind() const {
  if (!impl_ || !impl_->yaml.IsDefined()) return Kind::absent;
  switch (impl_->yaml.Type()) {
    case YAML::NodeType::Scalar: return Kind::scalar;
    case YAML::NodeType::Sequence: return Kind::list;
    case YAML::NodeType::Map: return Kind::map;
    case YAML::NodeType::Null: return Kind::null;
    default: return Kind::absent;
  }
}

Mark Node::mark() const { return impl_ ? impl_->mark : Mark{}; }

std::string Node::where() const {
  return fmt::format("{}:{}:{}", impl_ ? impl_->source->name : "", mark().line, mark().column);
}

void Node::problem(std::string message) const {
  if (!impl_) return;
  impl_->source->problems.push_back(
      {impl_->mark, path_.empty() ? std::move(message) : fmt::format("{}: {}", path_, message)});
}

Map Node::map() const {
  // A key without a value ("host:") is an empty map: nothing to set is nothing to write.
  if (kind() != Kind::map && kind() != Kind::null) {
    if (present()) problem("expected a map (name: value, one per line, or { name: value })");
    return Map(Node());
  }
  Map map(*this);
  std::vector<std::string> seen;
  for (const auto& entry : impl_->yaml) {
    std::string key = entry.first.IsScalar() ? restore(entry.first.Scalar()) : std::string();
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      impl_->source->problems.push_back(
          {to_mark(entry.first.Mark()), fmt::format("'{}' appears twice; names must be unique", key)});
    }
    seen.push_back(std::move(key));
  }
  return map;
}

std::vector<Node> Node::items() const {
  std::vector<Node> items;
  if (kind() != Kind::list) {
    if (present()) problem("expected a list (one '- item' per line, or [ item, item ])");
    return items;
  }
  std::size_t index = 0;
  for (const auto& element : impl_->yaml) {
    Node item;
    item.impl_ = std::make_shared<Impl>(Impl{element, impl_->source, to_mark(element.Mark())});
    item.path_ = fmt::format("{}[{}]", path_, index++);
    items.push_back(std::move(item));
  }
  return items;
}

std::string Node::raw() const { return kind() == Kind::scalar ? restore(impl_->yaml.Scalar()) : std::string(); }

std::string Node::dump() const {
  if (!present()) return {};
  YAML::Emitter out;
  out << impl_->yaml;
  return restore(std::string_view(out.c_str(), out.size()));
}

std::string Node::text(std::string_view fallback) const {
  if (kind() != Kind::scalar) {
    if (present()) problem("expected a single value");
    return std::string(fallback);
  }
  auto replaced = substitute(impl_->yaml.Scalar(), impl_->source->environment);
  if (!replaced) {
    problem(replaced.error().detail);
    return std::string(fallback);
  }
  return *replaced;
}

base::Secret Node::secret() const { return base::Secret(text()); }

bool Node::boolean(bool fallback) const {
  std::string value = text();
  if (value == "true") return true;
  if (value == "false") return false;
  problem(fmt::format("'{}' is not true or false", raw()));
  return fallback;
}

std::int64_t Node::integer(std::int64_t fallback, std::int64_t least, std::int64_t most) const {
  std::string value = text();
  std::int64_t number = 0;
  auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (ec != std::errc{} || end != value.data() + value.size() || value.empty()) {
    problem(fmt::format("'{}' is not a whole number", raw()));
    return fallback;
  }
  if (number < least || number > most) {
    problem(fmt::format("{} is out of range; allowed are {} to {}", number, least, most));
    return fallback;
  }
  return number;
}

double Node::number(double fallback) const {
  std::string value = text();
  double number = 0;
  auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (ec != std::errc{} || end != value.data() + value.size() || value.empty()) {
    problem(fmt::format("'{}' is not a number", raw()));
    return fallback;
  }
  return number;
}

namespace {

template <class T>
T checked(const Node& node, Result<T> value, T fallback) {
  if (value) return *value;
  node.problem(value.error().detail);
  return fallback;
}

}  // namespace

base::Duration Node::duration(base::Duration fallback) const {
  return checked(*this, base::parse_duration(text()), fallback);
}
std::uint64_t Node::size(std::uint64_t fallback) const { return checked(*this, base::parse_size(text()), fallback); }
double Node::percent(double fallback) const { return checked(*this, base::parse_percent(text()), fallback); }
double Node::rate(double fallback) const { return checked(*this, base::parse_rate(text()), fallback); }

std::string Node::choice(std::initializer_list<std::string_view> allowed, std::string_view fallback) const {
  std::string value = text();
  for (std::string_view option : allowed) {
    if (value == option) return value;
  }
  std::vector<std::string> names(allowed.begin(), allowed.end());
  auto hint = base::closest(value, names);
  problem(fmt::format("'{}' is not one of {}{}", raw(), fmt::join(names, ", "),
                      hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
  return std::string(fallback);
}

bool Map::has(std::string_view key) { return get(key).present(); }

Node Map::get(std::string_view key) {
  known_.emplace_back(key);
  Node child;
  if (node_.kind() != Node::Kind::map) return child;
  for (const auto& entry : node_.impl_->yaml) {
    if (!entry.first.IsScalar() || restore(entry.first.Scalar()) != key) continue;
    // A null value has no mark of its own: its key's is the place to look.
    Mark mark = entry.second.IsNull() ? to_mark(entry.first.Mark()) : to_mark(entry.second.Mark());
    child.impl_ = std::make_shared<Node::Impl>(Node::Impl{entry.second, node_.impl_->source, mark});
    child.path_ = node_.path_.empty() ? std::string(key) : fmt::format("{}.{}", node_.path_, key);
    break;
  }
  return child;
}

Node Map::required(std::string_view key) {
  Node child = get(key);
  if (!child.present() || child.kind() == Node::Kind::null) node_.problem(fmt::format("'{}' is missing", key));
  return child;
}

std::string Map::text(std::string_view key, std::string_view fallback) {
  Node child = get(key);
  return child.present() ? child.text(fallback) : std::string(fallback);
}

std::string Map::required_text(std::string_view key) {
  Node child = required(key);
  return child.kind() == Node::Kind::null ? std::string() : child.text();
}

base::Secret Map::secret(std::string_view key) {
  Node child = get(key);
  return child.present() ? child.secret() : base::Secret();
}

bool Map::boolean(std::string_view key, bool fallback) {
  Node child = get(key);
  return child.present() ? child.boolean(fallback) : fallback;
}

std::int64_t Map::integer(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most) {
  Node child = get(key);
  return child.present() ? child.integer(fallback, least, most) : fallback;
}

double Map::number(std::string_view key, double fallback) {
  Node child = get(key);
  return child.present() ? child.number(fallback) : fallback;
}

base::Duration Map::duration(std::string_view key, base::Duration fallback) {
  Node child = get(key);
  return child.present() ? child.duration(fallback) : fallback;
}

std::uint64_t Map::size(std::string_view key, std::uint64_t fallback) {
  Node child = get(key);
  return child.present() ? child.size(fallback) : fallback;
}

double Map::percent(std::string_view key, double fallback) {
  Node child = get(key);
  return child.present() ? child.percent(fallback) : fallback;
}

double Map::rate(std::string_view key, double fallback) {
  Node child = get(key);
  return child.present() ? child.rate(fallback) : fallback;
}

std::string Map::choice(std::string_view key, std::initializer_list<std::string_view> allowed,
                        std::string_view fallback) {
  Node child = get(key);
  return child.present() ? child.choice(allowed, fallback) : std::string(fallback);
}

std::vector<std::string> Map::texts(std::string_view key) {
  Node child = get(key);
  std::vector<std::string> values;
  if (child.kind() == Node::Kind::scalar) {
    values.push_back(child.text());
  } else if (child.present()) {
    for (const Node& item : child.items()) values.push_back(item.text());
  }
  return values;
}

std::vector<std::string> Map::keys() const {
  std::vector<std::string> keys;
  if (node_.kind() != Node::Kind::map) return keys;
  for (const auto& entry : node_.impl_->yaml) {
    if (entry.first.IsScalar()) keys.push_back(restore(entry.first.Scalar()));
  }
  return keys;
}

std::vector<std::pair<std::string, Node>> Map::entries() {
  std::vector<std::pair<std::string, Node>> result;
  for (std::string& key : keys()) {
    // A duplicate was reported when the map was opened; the first one stands.
    bool seen = std::any_of(result.begin(), result.end(), [&](const auto& entry) { return entry.first == key; });
    if (!seen) result.emplace_back(key, get(key));
  }
  return result;
}

void Map::done() {
  if (node_.kind() != Node::Kind::map) return;
  for (const auto& entry : node_.impl_->yaml) {
    std::string key = entry.first.IsScalar() ? restore(entry.first.Scalar()) : "(not a name)";
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    auto hint = base::closest(key, known_);
    std::string place = node_.path_.empty() ? std::string() : fmt::format(" in {}", node_.path_);
    node_.impl_->source->problems.push_back(
        {to_mark(entry.first.Mark()), hint ? fmt::format("unknown key '{}'{}; did you mean '{}'?", key, place, *hint)
                                           : fmt::format("unknown key '{}'{}", key, place)});
  }
}

Result<Document> Document::parse(std::string_view text, std::string name, Environment environment) {
  Document document;
  document.source_ = std::make_shared<Source>();
  document.source_->name = std::move(name);
  document.source_->environment = environment ? std::move(environment) : [](const std::string& variable) {
    return static_cast<const char*>(std::getenv(variable.c_str()));
  };
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(protect(text));
    YAML::Node yaml = documents.empty() ? YAML::Node(YAML::NodeType::Map) : documents.front();
    if (yaml.IsNull()) yaml = YAML::Node(YAML::NodeType::Map);
    document.root_.impl_ = std::make_shared<Node::Impl>(Node::Impl{yaml, document.source_, to_mark(yaml.Mark())});
    return document;
  } catch (const YAML::Exception& error) {
    Mark mark = to_mark(error.mark);
    return fail(Errc::invalid_argument, fmt::format("{}:{}:{}: this is not valid YAML: {}", document.source_->name,
                                                    mark.line, mark.column, error.msg));
  }
}

Result<Document> Document::load(const std::string& path, Environment environment) {
  constexpr std::size_t kFileBytesMax = 4 << 20;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    std::error_code ec;
    return fail(Errc::not_found,
                fmt::format("{}: {}", path,
                            in.is_open() ? "the file is empty or cannot be read"
                                         : "cannot open the file; check the path and its permissions"));
  }
  if (text.view().size() > kFileBytesMax) {
    return fail(Errc::out_of_range, fmt::format("{}: larger than 4MiB, which no configuration is", path));
  }
  return parse(text.view(), path, std::move(environment));
}

Node Document::root() const { return root_; }
bool Document::failed() const { return !source_->problems.empty(); }
const std::vector<Problem>& Document::problems() const { return source_->problems; }
const std::string& Document::name() const { return source_->name; }

std::string Document::report() const {
  std::multimap<std::pair<int, int>, const Problem*> in_order;
  for (const Problem& problem : source_->problems)
    in_order.emplace(std::pair(problem.at.line, problem.at.column), &problem);
  std::string out;
  for (const auto& [place, problem] : in_order) {
    if (!out.empty()) out += '\n';
    out += fmt::format("{}:{}:{}: {}", source_->name, place.first, place.second, problem->message);
  }
  return out;
}

}  // namespace penstock::config
