#include "ext/sinks/log/log_sink.h"

#include <fmt/format.h>

#include "ingest/sample_json.h"
#include "json/value.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr int kLinesPerSecondMax = 100;
// Devices remembered for `every`; beyond it the memory starts anew, and some devices get a line too many.
constexpr std::size_t kDevicesMax = 10'000;

}  // namespace

LogSink::LogSink(std::string pipeline, base::Duration every, const base::Clock& clock, Write write)
    : pipeline_(std::move(pipeline)), every_(every), clock_(clock), write_(std::move(write)) {}

Result<void> LogSink::start(rt::Loop&) { return {}; }

void LogSink::stop() { say_left_out(); }

ingest::Status LogSink::status() const {
  return {.connected = true, .detail = "standard error", .messages = messages_, .dropped = dropped_};
}

void LogSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  for (const ingest::Sample& sample : *batch) put_sample(sample);
  done({});
}

void LogSink::put_sample(const ingest::Sample& sample) {
  // The gateway's log tells of every alarm itself; here stands the sample that decided it.
  if (due(sample.device) || sample.alarm) put("info", "sample", "sample", ingest::to_json(sample));
}

bool LogSink::due(const std::string& device) {
  if (every_ == base::Duration{}) return true;
  if (next_.size() >= kDevicesMax && !next_.contains(device)) next_.clear();
  const base::SteadyTime now = clock_.steady();
  auto [entry, is_new] = next_.try_emplace(device, now);
  if (!is_new && now < entry->second) return false;
  entry->second = now + every_;
  return true;
}

void LogSink::put(std::string_view level, std::string_view message, std::string_view name, const std::string& json) {
  if (!allowed()) {
    ++left_out_;
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  write_line(level, message, name, json);
  messages_.fetch_add(1, std::memory_order_relaxed);
}

// At most kLinesPerSecondMax in any second that begins with a line.
bool LogSink::allowed() {
  const base::SteadyTime now = clock_.steady();
  if (now - second_began_ >= 1s) {
    say_left_out();
    second_began_ = now;
    lines_this_second_ = 0;
  }
  return lines_this_second_++ < kLinesPerSecondMax;
}

void LogSink::say_left_out() {
  if (left_out_ == 0) return;
  write_line("warn", "lines left out of the log: more than 100 in a second", "count",
             fmt::format("{}", std::exchange(left_out_, 0)));
}

void LogSink::write_line(std::string_view level, std::string_view message, std::string_view name,
                         std::string_view json) {
  std::string line = fmt::format(R"({{"ts":"{}","level":"{}","msg":"{}","pipeline":)", base::to_rfc3339(clock_.wall()),
                                 level, message);
  json::append_quoted(line, pipeline_);
  fmt::format_to(std::back_inserter(line), ",\"{}\":{}}}\n", name, json);
  write_(line);
}

std::unique_ptr<ingest::Sink> make_log_sink(const std::string& pipeline, const config::Node&, config::Map& map,
                                            const ingest::Context& context) {
  const base::Duration every = map.duration("every", 0s);
  return std::make_unique<LogSink>(pipeline, every, *context.clock, obs::write_log);
}

}  // namespace penstock::ext
