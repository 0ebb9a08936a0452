#include "ext/sources/file/file_source.h"

#include <pthread.h>
#include <sys/stat.h>

#include <charconv>
#include <system_error>

#include "base/glob.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr base::Duration kLook = 200ms;     // for new lines and files
constexpr base::Duration kSaveEvery = 1s;   // positions
constexpr base::Duration kWhenFull = 20ms;  // before a full pipeline is tried again
constexpr base::Duration kQuietBetweenLogs = 10s;
constexpr std::size_t kFilesMax = 1'000;

constexpr std::pair<std::string_view, ingest::Format> kExtensions[] = {
    {".csv", ingest::Format::csv}, {".json", ingest::Format::ndjson},   {".jsonl", ingest::Format::ndjson},
    {".lp", ingest::Format::line}, {".ndjson", ingest::Format::ndjson},
};

std::optional<ingest::Format> format_by_name(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  for (const auto& [known, format] : kExtensions) {
    if (known == extension) return format;
  }
  return std::nullopt;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// "10x", "0.5x" or "max", which is 0.
std::optional<double> parse_speed(std::string_view text) {
  if (text == "max") return 0;
  double speed = 0;
  if (!text.ends_with('x')) return std::nullopt;
  text.remove_suffix(1);
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), speed);
  if (ec != std::errc{} || end != text.data() + text.size() || !(speed > 0) || speed > 1e6) return std::nullopt;
  return speed;
}

}  // namespace

FileSource::FileSource(FileSourceOptions options, const base::Clock& clock)
    : options_(std::move(options)), clock_(clock), status_{.detail = "not started"} {}

FileSource::~FileSource() { stop(); }

Result<void> FileSource::start(rt::Loop&, ingest::Emit emit) {
  emit_ = std::move(emit);
  progress_ = Progress::open(options_.replay ? fs::path() : options_.positions);
  set_detail(true, "reading " + options_.path);
  try {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "file source");
      options_.replay ? replay() : follow();
    });
  } catch (const std::system_error&) {
    return fail(Errc::unavailable, "the system gives no further thread: raise its limit and reload");
  }
  return {};
}

void FileSource::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  set_detail(false, "stopped");
  // What the pipelines still work on settles later; the last of it writes the positions.
  if (progress_) progress_->save();
  progress_.reset();
  emit_ = {};
}

ingest::Status FileSource::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void FileSource::set_detail(bool connected, std::string detail) {
  std::lock_guard lock(mutex_);
  status_.connected = connected;
  status_.detail = std::move(detail);
}

bool FileSource::sleep(base::Duration time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

std::vector<std::string> FileSource::paths() const {
  const fs::path pattern(options_.path);
  const std::string name = pattern.filename().string();
  if (name.find('*') == std::string::npos) return {options_.path};
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(pattern), error), end; !error && entry != end; entry.increment(error)) {
    if (base::glob_matches(name, entry->path().filename().string())) found.push_back(entry->path().string());
  }
  std::sort(found.begin(), found.end());
  if (found.size() > kFilesMax) found.resize(kFilesMax);
  return found;
}

ingest::Format FileSource::format_of(const std::string& path) const {
  if (options_.format) return *options_.format;
  return format_by_name(path).value_or(ingest::Format::ndjson);
}

void FileSource::note_bad(const std::string& path, const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    ++status_.dropped;
  }
  if (clock_.steady() < quiet_until_) return;
  quiet_until_ = clock_.steady() + kQuietBetweenLogs;
  obs::log(obs::Level::warn, "a line of a file was left out",
           {{"source", options_.name}, {"file", path}, {"why", why}});
}

// What is wrong in one line is left out; the others count.
std::vector<ingest::Sample> FileSource::decode(const std::string& path, LineFile& file, const std::string& lines) {
  const ingest::Format format = format_of(path);
  const ingest::SampleDefaults defaults{.device = options_.name, .now = clock_.wall()};
  std::string head;
  std::string_view rest = lines;
  if (format == ingest::Format::csv) {
    head = file.first_line().value_or("") + "\n";
    const bool begins = file.mark().offset == lines.size();
    if (begins) rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
    if (rest.empty()) return {};
  }
  if (auto all = ingest::samples_from(format, head + std::string(rest), defaults)) return std::move(*all);
  std::vector<ingest::Sample> samples;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    auto some = ingest::samples_from(format, head + std::string(rest.substr(0, end)), defaults);
    rest.remove_prefix(end);
    if (!some) note_bad(path, some.error().detail);
    if (some) std::move(some->begin(), some->end(), std::back_inserter(samples));
  }
  return samples;
}

bool FileSource::hand_over(std::vector<ingest::Sample> samples, const std::string& path, const FileMark* end) {
  const std::size_t count = samples.size();
  while (true) {
    std::shared_ptr<const Progress::Piece> piece;
    if (end != nullptr) piece = progress_->begin(path, *end);
    for (ingest::Sample& sample : samples) sample.receipt = piece;
    if (samples.empty() || emit_(samples)) break;
    if (piece) piece->cancel();
    if (!sleep(kWhenFull)) return false;
  }
  std::lock_guard lock(mutex_);
  status_.messages += count;
  return true;
}

// --- following -------------------------------------------------------------------------------------------------------

void FileSource::follow() {
  base::SteadyTime save_at = clock_.steady() + kSaveEvery;
  do {
    const std::vector<std::string> now = paths();
    for (const std::string& path : now) follow_path(path, followed_[path]);
    std::erase_if(followed_,
                  [&](const auto& one) { return std::find(now.begin(), now.end(), one.first) == now.end(); });
    if (clock_.steady() < save_at) continue;
    progress_->keep(now);
    progress_->save();
    save_at = clock_.steady() + kSaveEvery;
  } while (sleep(kLook));
}

void FileSource::follow_path(const std::string& path, Followed& followed) {
  if (!open_followed(path, followed)) return;
  while (take_lines(path, *followed.file, false)) {
    if (!sleep({})) return;
  }
  // Another file at the path: the old one was put aside, and is finished first.
  struct stat there{};
  if (::stat(path.c_str(), &there) != 0 || followed.file->is(there.st_dev, there.st_ino)) return;
  while (take_lines(path, *followed.file, true)) {
    if (!sleep({})) return;
  }
  followed.file.reset();
}

bool FileSource::open_followed(const std::string& path, Followed& followed) {
  if (followed.file) return true;
  auto opened = LineFile::open(path);
  if (!opened) {
    if (!std::exchange(followed.reported, true)) set_detail(false, opened.error().detail);
    return false;
  }
  followed.file = std::move(*opened);
  if (std::exchange(followed.reported, false)) set_detail(true, "reading " + options_.path);
  const auto known = progress_->position(path);
  if (!known || followed.file->resume(*known)) return true;
  // Put aside while nobody looked: it still has its inode, under another name in the same folder.
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(path), error), end; !error && entry != end; entry.increment(error)) {
    struct stat about{};
    if (::stat(entry->path().c_str(), &about) != 0 || about.st_ino != known->inode) continue;
    auto old = LineFile::open(entry->path());
    if (!old || !(*old)->resume(*known)) continue;
    while (take_lines(path, **old, true)) {
      if (!sleep({})) return false;
    }
  }
  return true;
}

bool FileSource::take_lines(const std::string& path, LineFile& file, bool last) {
  auto lines = file.read(format_of(path) == ingest::Format::csv, last);
  if (!lines) {
    note_bad(path, lines.error().detail);
    return lines.error().code == Errc::data_loss;
  }
  if (lines->empty()) return false;
  auto samples = decode(path, file, *lines);
  const FileMark end = file.mark();
  return hand_over(std::move(samples), path, &end);
}

// --- replaying -------------------------------------------------------------------------------------------------------

void FileSource::replay() {
  do {
    ReplayClock clock;
    const std::vector<std::string> files = paths();
    for (const std::string& path : files) {
      if (!replay_file(path, clock)) return;
    }
    if (files.empty()) set_detail(false, "there is no file " + options_.path);
  } while (options_.repeat && sleep(kLook));
  if (status().connected) set_detail(true, "replayed " + options_.path);
}

// False when it was stopped.
bool FileSource::replay_file(const std::string& path, ReplayClock& clock) {
  auto file = LineFile::open(path);
  if (!file) {
    set_detail(false, file.error().detail);
    return true;
  }
  while (true) {
    auto lines = (*file)->read(format_of(path) == ingest::Format::csv, true);
    if (!lines) {
      note_bad(path, lines.error().detail);
      if (lines.error().code != Errc::data_loss) return true;
      continue;
    }
    if (lines->empty()) return true;
    if (!replay_samples(decode(path, **file, *lines), clock)) return false;
  }
}

bool FileSource::replay_samples(std::vector<ingest::Sample> samples, ReplayClock& clock) {
  if (options_.speed == 0) return hand_over(std::move(samples), {}, nullptr);
  std::vector<ingest::Sample> due;
  for (ingest::Sample& sample : samples) {
    if (clock.begun_wall == 0) clock = {clock_.steady(), clock_.wall(), sample.event_time};
    const double micros = std::max(0.0, static_cast<double>(sample.event_time - clock.first) / options_.speed);
    const base::SteadyTime at = clock.begun + std::chrono::microseconds(static_cast<std::int64_t>(micros));
    if (at > clock_.steady()) {
      if (!hand_over(std::exchange(due, {}), {}, nullptr) || !sleep(at - clock_.steady())) return false;
    }
    if (options_.shift) sample.event_time = clock.begun_wall + static_cast<std::int64_t>(micros);
    due.push_back(std::move(sample));
  }
  return hand_over(std::move(due), {}, nullptr);
}

std::unique_ptr<ingest::Source> make_file_source(const std::string& name, const config::Node& kind, config::Map&,
                                                 const ingest::Context& context) {
  config::Map map = kind.map();
  FileSourceOptions options;
  options.name = name;
  options.path = map.required_text("path");
  if (map.has("path") && fs::path(options.path).filename().empty()) {
    map.get("path").problem("the path of a file, or of several: in/*.csv");
  }
  const std::string format = map.choice("format", {"auto", "csv", "ndjson", "line"}, "auto");
  options.format = ingest::format_named(format);
  if (!options.format && map.has("path") && !format_by_name(options.path)) {
    map.get("path").problem("its name does not tell the format: format: csv, ndjson or line");
  }
  options.replay = map.choice("mode", {"tail", "replay"}, "tail") == "replay";
  for (const char* key : {"speed", "repeat", "times"}) {
    if (map.has(key) && !options.replay) map.get(key).problem(fmt::format("`{}` is for mode: replay", key));
  }
  const auto speed = parse_speed(map.text("speed", "1x"));
  if (!speed) map.get("speed").problem("how many times faster than it was: 10x, 0.5x or max");
  options.speed = speed.value_or(1);
  options.repeat = map.boolean("repeat", false);
  options.shift = map.choice("times", {"now", "keep"}, "now") == "now";
  map.done();
  if (!context.data_dir.empty()) options.positions = fs::path(context.data_dir) / "sources" / (name + ".positions");
  return std::make_unique<FileSource>(std::move(options), *context.clock);
}

}  // namespace penstock::ext
