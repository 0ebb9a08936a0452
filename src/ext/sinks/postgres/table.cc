#include "ext/sinks/postgres/table.h"

#include <cmath>

#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

constexpr std::pair<const char*, const char*> kColumns[] = {
    {"time", "timestamptz NOT NULL"},
    {"device", "text NOT NULL"},
    {"quality", "text NOT NULL"},
    {"fields", "jsonb"},
    {"tags", "jsonb"},
    {"origin", "text"},
    {"seq", "bigint"},
};
// PostgreSQL cuts longer names off.
constexpr std::size_t kNameBytesMax = 63;
constexpr std::size_t kColumnsMax = 512;

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

// schema.table, each part quoted.
std::string quoted_path(std::string_view path) {
  const std::size_t dot = path.find('.');
  if (dot == std::string_view::npos) return quoted_name(path);
  return quoted_name(path.substr(0, dot)) + "." + quoted_name(path.substr(dot + 1));
}

void append_number(std::string& out, double number) {
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{}", number);
  } else {
    out += "null";  // JSON has no other way to say it
  }
}

struct AppendValue {
  std::string& out;
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { fmt::format_to(std::back_inserter(out), "{}", value); }
  void operator()(double value) const { append_number(out, value); }
  void operator()(const std::string& value) const { json::append_quoted(out, value); }
  void operator()(const std::vector<double>& value) const {
    out += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ',';
      append_number(out, value[i]);
    }
    out += ']';
  }
};

std::string_view name_of(ingest::Quality quality) {
  switch (quality) {
    case ingest::Quality::good: return "good";
    case ingest::Quality::uncertain: return "uncertain";
    case ingest::Quality::bad: break;
  }
  return "bad";
}

void check_name(const config::Node& node, std::string_view name) {
  const bool plain = !name.empty() && name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20;
  });
  if (!plain) node.problem(fmt::format("a name of at most {} bytes", kNameBytesMax));
}

PostgresTable::Column read_column(const std::string& name, const config::Node& node) {
  check_name(node, name);
  for (const auto& [known, type] : kColumns) {
    if (name == known) node.problem(fmt::format("'{}' is a column that every table has", name));
  }
  if (node.kind() != config::Node::Kind::map) return {name, node.text(), "double precision"};
  config::Map map = node.map();
  PostgresTable::Column column{name, map.required_text("field"),
                               map.choice("type",
                                          {"double precision", "real", "bigint", "integer", "boolean", "text", "jsonb",
                                           "double precision[]", "timestamptz", "numeric"},
                                          "double precision")};
  map.done();
  return column;
}

}  // namespace

PostgresTable::PostgresTable(std::string name, std::vector<Column> columns)
    : name_(std::move(name)), columns_(std::move(columns)) {}

PostgresTable PostgresTable::read(config::Map& map) {
  std::string name = map.text("table", "samples");
  const std::size_t dot = name.find('.');
  check_name(map.get("table"), std::string_view(name).substr(dot == std::string::npos ? 0 : dot + 1));
  std::vector<Column> columns;
  if (const config::Node node = map.get("columns"); node.present()) {
    for (auto& [column, written] : node.map().entries()) columns.push_back(read_column(column, written));
    if (columns.size() > kColumnsMax) node.problem(fmt::format("at most {} columns", kColumnsMax));
  }
  return {std::move(name), std::move(columns)};
}

std::vector<std::string> PostgresTable::create_statements() const {
  const std::string table = quoted_path(name_);
  std::string columns;
  for (const auto& [name, type] : kColumns)
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", quoted_name(name), type);
  for (const Column& column : columns_) columns += fmt::format(", {} {}", quoted_name(column.name), column.type);
  const std::string bare = name_.substr(name_.find('.') + 1);
  const auto index = [&](std::string_view end) {
    return quoted_name(bare.substr(0, kNameBytesMax - end.size()) + std::string(end));
  };
  return {
      fmt::format("CREATE TABLE IF NOT EXISTS {} ({})", table, columns),
      fmt::format(R"(CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ("origin", "seq", "device", "time"))", index("_once"),
                  table),
      fmt::format(R"(CREATE INDEX IF NOT EXISTS {} ON {} ("device", "time" DESC))", index("_device_time"), table),
  };
}

std::string PostgresTable::insert_statement() const {
  std::string names;
  for (const auto& [name, type] : kColumns) names += (names.empty() ? "" : ", ") + quoted_name(name);
  for (const Column& column : columns_) names += ", " + quoted_name(column.name);
  const std::string table = quoted_path(name_);
  return fmt::format(
      "INSERT INTO {0} ({1}) SELECT {1} FROM jsonb_populate_recordset(NULL::{0}, $1::jsonb) ON CONFLICT DO NOTHING",
      table, names);
}

std::string PostgresTable::rows(const std::vector<ingest::Sample>& samples, std::size_t first, std::size_t last,
                                std::size_t bytes_max) const {
  std::string out = "[";
  for (std::size_t i = first; i < last && out.size() <= bytes_max; ++i) {
    if (i > first) out += ',';
    append_row(out, samples[i]);
  }
  return out + ']';
}

void PostgresTable::append_row(std::string& out, const ingest::Sample& sample) const {
  out += "{\"time\":\"";
  ingest::append_time(out, sample.event_time);
  out += "\",\"device\":";
  json::append_quoted(out, sample.device);
  out += ",\"quality\":\"";
  out += name_of(sample.quality);
  out += "\",\"fields\":{";
  bool any = false;
  for (const ingest::Field& field : sample.fields) {
    const bool own =
        std::any_of(columns_.begin(), columns_.end(), [&](const Column& column) { return column.field == field.name; });
    if (own) continue;
    if (std::exchange(any, true)) out += ',';
    json::append_quoted(out, field.name);
    out += ':';
    std::visit(AppendValue{out}, field.value);
  }
  out += "},\"tags\":{";
  for (std::size_t i = 0; i < sample.tags.size(); ++i) {
    if (i > 0) out += ',';
    json::append_quoted(out, sample.tags[i].first);
    out += ':';
    json::append_quoted(out, sample.tags[i].second);
  }
  out += '}';
  if (sample.sequence != 0 && sample.origin) {
    out += ",\"origin\":";
    json::append_quoted(out, *sample.origin);
    fmt::format_to(std::back_inserter(out), ",\"seq\":{}", sample.sequence);
  }
  for (const Column& column : columns_) {
    const ingest::Field* field = sample.find(column.field);
    if (field == nullptr) continue;
    out += ',';
    json::append_quoted(out, column.name);
    out += ':';
    std::visit(AppendValue{out}, field->value);
  }
  out += '}';
}

}  // namespace penstock::ext
