#include "ext/sinks/file/file_sink.h"

#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

constexpr std::uint64_t kSizeMax = 64'000'000;
constexpr std::uint64_t kSizeLeast = 4'096;
constexpr std::int64_t kKeep = 10;

}  // namespace

FileSink::FileSink(FileSinkOptions options, const base::Clock& clock)
    : options_(std::move(options)),
      file_(options_.file, clock),
      status_{.detail = "nothing written yet to " + options_.file.path.string()},
      thread_("file sink", [this](const auto& samples) { return write(samples); }) {}

void FileSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  thread_.send(std::move(batch), std::move(done));
}

void FileSink::stop() {
  thread_.stop();
  file_.close();  // the next one at this path may open it
}

ingest::Sent FileSink::write(const std::vector<ingest::Sample>& samples) {
  std::string lines;
  for (const ingest::Sample& sample : samples) {
    if (options_.samples) {
      ingest::append_json(lines, sample);
      lines += '\n';
    }
    if (options_.alarms && sample.alarm) lines += ingest::to_json(*sample.alarm) + '\n';
  }
  const auto written = lines.empty() ? Result<void>() : file_.append(lines);
  std::lock_guard lock(mutex_);
  status_.connected = written.has_value();
  status_.detail = written ? "writing " + options_.file.path.string() : written.error().detail;
  if (!written) return {.outcome = ingest::Sent::Outcome::again, .why = written.error().detail};
  status_.messages += samples.size();
  return {};
}

ingest::Status FileSink::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

std::unique_ptr<ingest::Sink> make_file_sink(const std::string&, const config::Node&, config::Map& map,
                                             const ingest::Context& context) {
  FileSinkOptions options;
  options.file.path = map.required_text("path");
  if (map.has("path") && !options.file.path.has_filename()) map.get("path").problem("the path of a file is needed");
  options.file.sync = map.boolean("sync", true);
  options.file.compress = map.choice("compress", {"none", "zstd"}, "none") == "zstd";
  if (const config::Node node = map.get("rotate"); node.present()) {
    config::Map rotate = node.map();
    options.file.size_max = rotate.size("size", kSizeMax);
    options.file.every = rotate.duration("every", {});
    options.file.keep = static_cast<std::size_t>(rotate.integer("keep", kKeep, 1, 100'000));
    if (options.file.size_max < kSizeLeast) rotate.get("size").problem("at least 4096B");
    rotate.done();
  }
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  return std::make_unique<FileSink>(std::move(options), *context.clock);
}

}  // namespace penstock::ext
