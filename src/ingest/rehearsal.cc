#include "ingest/rehearsal.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/quantity.h"
#include "ingest/csv.h"
#include "ingest/rehearsal_ports.h"

namespace penstock::ingest {
namespace {

constexpr std::size_t kFeedBytesMax = 512UL << 20;
constexpr base::Duration kAnswerMax = std::chrono::seconds(30);  // for one model answer
constexpr base::WallMicros kTickMicros = 100'000;

Result<std::vector<Sample>> load_feed(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return fail(Errc::not_found,
                fmt::format("cannot open {}; the path is relative to the configuration file", path.string()));
  }
  std::ostringstream content;
  content << in.rdbuf();
  if (content.view().size() > kFeedBytesMax)
    return fail(Errc::out_of_range, fmt::format("{} is larger than 512MiB", path.string()));
  SampleDefaults defaults{"test", 0};
  if (path.extension() == ".csv") return samples_from_csv(content.view(), defaults);
  // Lines one by one, so that a long feed is not held to the limit of one message.
  std::vector<Sample> samples;
  std::string_view rest = content.view();
  if (rest.starts_with('[')) return samples_from_json(rest, defaults);
  for (std::size_t line = 1; !rest.empty(); ++line) {
    std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto value = json::parse(text);
    auto sample = value ? sample_from_json(*value, defaults) : Result<Sample>(std::unexpected(value.error()));
    if (!sample) return fail(sample.error().code, fmt::format("{}:{}: {}", path.string(), line, sample.error().detail));
    samples.push_back(std::move(*sample));
  }
  return samples;
}

std::string to_text(const Value& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return fmt::format("[{}]", fmt::join(std::get<std::vector<double>>(value), ", "));
}

// "81.50" is 81.5.
bool same_value(const std::string& wanted, const std::string& got) {
  if (wanted == got) return true;
  double left = 0;
  double right = 0;
  const auto reads = [](const std::string& text, double& number) {
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
    return ec == std::errc{} && end == text.data() + text.size();
  };
  return reads(wanted, left) && reads(got, right) && left == right;
}

// Feeds one pipeline from within its own loop, so that a model's answer can come from anywhere.
class Rehearsal {
 public:
  Rehearsal(const PlannedPipeline& planned, const PlannedTest& test, const config::Node& entry, const Context& context,
            std::vector<Sample> feed)
      : ports_(context, test.llm, [this] { go_on_soon(); }), feed_(std::move(feed)) {
    PipelineParts parts;
    parts.context = ports_.context();
    parts.loop = &loop_;
    parts.board = &board_;
    parts.dead_letters = dead_letters_;
    pipeline_ = build_steps(planned.name, entry, std::move(parts));
    pipeline_->on_output([this](const Sample&) { ++outputs_; });
  }

  void run() {
    loop_.post([this] { advance(); });
    loop_.run();
    pipeline_.reset();
  }

  bool stuck() const { return stuck_; }
  std::string last_error() const { return last_error_; }
  void tell(TestReport& report) const {
    report.outputs = outputs_;
    report.alarms = alarms_;
    report.dead_letters = dead_letters_->total();
    for (const PointWrite& write : ports_.writes()) {
      report.writes.emplace_back(fmt::format("{}.{}", write.source, write.point), to_text(write.value));
    }
    for (const HttpPost& post : ports_.posts()) report.notifies.push_back(post.url);
  }

 private:
  void advance() {
    while (at_ < feed_.size()) {
      if (busy()) return wait();
      waiting_since_.reset();
      Sample& sample = feed_[at_];
      if (now_ == 0) now_ = sample.event_time;
      if (now_ + kTickMicros <= sample.event_time) {
        now_ += tick_in(sample.event_time - now_);
        ports_.clock().set(now_);
        pipeline_->tick(now_);
        continue;
      }
      sample.ingest_time = sample.event_time;
      ports_.clock().set(sample.event_time);
      pipeline_->push(std::move(sample));
      ++at_;
    }
    if (busy()) return wait();
    if (!flushed_) {
      flushed_ = true;
      pipeline_->flush();
      return advance();
    }
    finish();
  }

  // A long silence is told second by second, of the longest only the last day.
  static base::WallMicros tick_in(base::WallMicros silence) {
    constexpr base::WallMicros kSecond = 1'000'000;
    constexpr base::WallMicros kDay = 86'400 * kSecond;
    if (silence > kDay) return silence - kDay;
    return silence > 60 * kSecond ? kSecond : kTickMicros;
  }

  bool busy() const { return ports_.waiting() || pipeline_->busy(); }

  // An answer came: what it left to be done is posted already, so the feed goes on behind it.
  void go_on_soon() {
    if (!waiting_since_ || std::exchange(going_on_, true)) return;
    loop_.post([this] {
      going_on_ = false;
      advance();
    });
  }

  // The timer is for steps that wait for something else than the ports' answers.
  void wait() {
    if (!waiting_since_) waiting_since_ = std::chrono::steady_clock::now();
    if (std::chrono::steady_clock::now() - *waiting_since_ > kAnswerMax) {
      stuck_ = true;
      return finish();
    }
    timer_.arm_in(std::chrono::milliseconds(20), [this] { advance(); });
  }

  void finish() {
    timer_.cancel();
    if (std::exchange(finished_, true)) return;
    last_error_ = pipeline_->stats().last_error;
    loop_.stop();
  }

  rt::Loop loop_;
  rt::Timer timer_{loop_};
  RehearsalPorts ports_;
  std::vector<AlarmChange> alarms_;
  AlarmBoard board_{[this](const AlarmChange& change) { alarms_.push_back(change); }};
  std::shared_ptr<DeadLetters> dead_letters_ =
      std::make_shared<DeadLetters>(std::string(), ports_.clock(), std::function<void()>());
  std::shared_ptr<Pipeline> pipeline_;
  std::vector<Sample> feed_;
  std::size_t at_ = 0;
  base::WallMicros now_ = 0;
  std::uint64_t outputs_ = 0;
  bool flushed_ = false;
  bool stuck_ = false;
  bool going_on_ = false;
  bool finished_ = false;
  std::string last_error_;
  std::optional<std::chrono::steady_clock::time_point> waiting_since_;
};

void check_alarms(const PlannedTest& test, base::WallMicros begin, TestReport& report) {
  std::vector<std::string> raised;
  for (const AlarmChange& change : report.alarms) {
    if (change.raised) raised.push_back(change.name);
  }
  if (test.no_alarms && !raised.empty()) {
    report.failures.push_back(
        fmt::format("expected no alarm, but {} was raised: {}", raised.front(), report.alarms.front().why));
  }
  for (const std::string& name : test.alarms) {
    auto first = std::find_if(report.alarms.begin(), report.alarms.end(),
                              [&](const AlarmChange& change) { return change.raised && change.name == name; });
    if (first == report.alarms.end()) {
      report.failures.push_back(fmt::format("expected alarm {}, raised {} {}", name, raised.empty() ? "was" : "were",
                                            raised.empty() ? "none" : fmt::format("{}", fmt::join(raised, ", "))));
      continue;
    }
    base::Duration after = std::chrono::microseconds(first->at - begin);
    if (test.within && after > *test.within) {
      report.failures.push_back(fmt::format("alarm {} came {} after the first sample, expected within {}", name,
                                            base::format_duration(after), base::format_duration(*test.within)));
    }
  }
}

std::string listed(const std::vector<std::pair<std::string, std::string>>& writes) {
  std::vector<std::string> texts;
  for (const auto& [point, value] : writes) texts.push_back(fmt::format("{}: {}", point, value));
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}

void check_effects(const PlannedTest& test, TestReport& report) {
  if (test.outputs && *test.outputs != report.outputs) {
    report.failures.push_back(fmt::format("expected {} outputs, got {}", *test.outputs, report.outputs));
  }
  if (test.dead_letters && *test.dead_letters != report.dead_letters) {
    report.failures.push_back(fmt::format("expected {} dead letters, got {}", *test.dead_letters, report.dead_letters));
  }
  const auto same = [](const auto& wanted, const auto& got) {
    return wanted.first == got.first && same_value(wanted.second, got.second);
  };
  if (test.writes &&
      !std::equal(test.writes->begin(), test.writes->end(), report.writes.begin(), report.writes.end(), same)) {
    report.failures.push_back(fmt::format("expected writes {}, got {}", listed(*test.writes), listed(report.writes)));
  }
  if (test.notifies && *test.notifies != report.notifies) {
    report.failures.push_back(fmt::format("expected posts to [{}], got [{}]", fmt::join(*test.notifies, ", "),
                                          fmt::join(report.notifies, ", ")));
  }
}

TestReport run_one(const PlannedPipeline& planned, const PlannedTest& test, const config::Node& entry,
                   const Context& context, const std::filesystem::path& folder) {
  TestReport report;
  report.pipeline = planned.name;
  report.where = test.where;
  report.feed = test.feed;
  auto feed = load_feed(folder / test.feed);
  if (!feed || feed->empty()) {
    report.failures.push_back(feed ? fmt::format("{} holds no samples", test.feed) : feed.error().detail);
    return report;
  }
  report.samples = feed->size();
  base::WallMicros begin = feed->front().event_time;
  auto rehearsal = std::make_unique<Rehearsal>(planned, test, entry, context, std::move(*feed));
  rehearsal->run();
  rehearsal->tell(report);
  std::string last_error = rehearsal->last_error();
  if (rehearsal->stuck()) {
    report.failures.push_back("a step still waits for an answer after 30s");
    (void)rehearsal.release();  // the answer may yet come and needs the loop; the program ends soon
  }
  check_alarms(test, begin, report);
  check_effects(test, report);
  report.passed = report.failures.empty();
  if (!report.passed && !last_error.empty()) {
    report.failures.push_back(fmt::format("the last error of a step: {}", last_error));
  }
  return report;
}

}  // namespace

std::string TestReport::line() const {
  std::string out = fmt::format("{} {} {} ({} samples, {} outputs, {} alarm changes)", passed ? "ok  " : "FAIL",
                                pipeline, feed, samples, outputs, alarms.size());
  for (const std::string& failure : failures) out += fmt::format("\n     {}: {}", where, failure);
  return out;
}

std::vector<TestReport> run_tests(config::Map& root, const Plan& plan, const Context& context,
                                  const std::string& config_path) {
  std::vector<TestReport> reports;
  std::filesystem::path folder = std::filesystem::path(config_path).parent_path();
  config::Map pipelines = root.get("pipelines").map();
  for (const PlannedPipeline& planned : plan.pipelines) {
    config::Node entry = pipelines.get(planned.name);
    for (const PlannedTest& test : planned.tests) reports.push_back(run_one(planned, test, entry, context, folder));
  }
  return reports;
}

}  // namespace penstock::ingest
