#include "ingest/payload.h"

#include "ingest/cbor.h"
#include "ingest/csv.h"
#include "ingest/line_protocol.h"

namespace penstock::ingest {
namespace {

struct Named {
  std::string_view name;
  Format format;
};

constexpr Named kNames[] = {
    {"json", Format::json}, {"ndjson", Format::ndjson}, {"csv", Format::csv},
    {"line", Format::line}, {"cbor", Format::cbor},
};

constexpr Named kTypes[] = {
    {"", Format::json},
    {"application/json", Format::json},
    {"text/json", Format::json},
    {"application/x-www-form-urlencoded", Format::json},  // what `curl -d` says when nobody told it better
    {"application/x-ndjson", Format::ndjson},
    {"application/ndjson", Format::ndjson},
    {"application/jsonl", Format::ndjson},
    {"text/csv", Format::csv},
    {"text/plain", Format::line},  // what Telegraf and Influx's own clients say
    {"application/vnd.influxdata.line-protocol", Format::line},
    {"application/cbor", Format::cbor},
    {"application/cbor-seq", Format::cbor},
    {"application/octet-stream", Format::cbor},
};

std::optional<Format> find(std::span<const Named> table, std::string_view name) {
  for (const Named& one : table) {
    if (one.name == name) return one.format;
  }
  return std::nullopt;
}

Result<std::vector<Sample>> from_csv(std::string_view text, const SampleDefaults& defaults) {
  // Rows of a column or two are small in bytes and large in memory: counted before they are read.
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  if (lines > kSamplesPerMessageMax + 1) {
    return fail(Errc::out_of_range, fmt::format("{} lines: a message holds at most {} samples; send more messages",
                                                lines, kSamplesPerMessageMax));
  }
  return samples_from_csv(text, defaults);
}

}  // namespace

std::optional<Format> format_named(std::string_view name) { return find(kNames, name); }

std::optional<Format> format_of(std::string_view content_type) {
  std::string type;
  for (char c : content_type.substr(0, content_type.find(';'))) {
    if (c != ' ' && c != '\t') type += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  if (auto known = find(kTypes, type)) return known;
  if (type.ends_with("+json")) return Format::json;
  return type.ends_with("+cbor") ? std::optional(Format::cbor) : std::nullopt;
}

Result<std::vector<Sample>> samples_from(Format format, std::string_view bytes, const SampleDefaults& defaults) {
  switch (format) {
    case Format::json: return samples_from_json(bytes, defaults);
    case Format::ndjson: return samples_from_lines(bytes, defaults);
    case Format::csv: return from_csv(bytes, defaults);
    case Format::line: return samples_from_line_protocol(bytes, defaults);
    case Format::cbor: return samples_from_cbor(bytes, defaults);
  }
  return fail(Errc::internal, "no such format");
}

Result<std::vector<Sample>> samples_from_lines(std::string_view text, const SampleDefaults& defaults) {
  std::vector<Sample> samples;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (samples.size() >= kSamplesPerMessageMax) {
      return fail(Errc::out_of_range, fmt::format("line {}: a request holds at most {} samples; send more requests",
                                                  number, kSamplesPerMessageMax));
    }
    auto value = json::parse(line);
    auto sample = value ? sample_from_json(*value, defaults) : std::unexpected(std::move(value.error()));
    if (!sample) return fail(sample.error().code, fmt::format("line {}: {}", number, sample.error().detail));
    samples.push_back(std::move(*sample));
  }
  return samples;
}

}  // namespace penstock::ingest
