#include "obs/observer.h"

#include <pthread.h>

#include "json/value.h"
#include "obs/log.h"

namespace penstock::obs {
namespace {

// 8192 events: at 100,000 requests per second on one core, three times what arrives between two visits.
constexpr std::size_t kRingEvents = 8192;
constexpr auto kVisitEvery = std::chrono::milliseconds(25);
constexpr std::size_t kRecentMax = 1000;

std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

double seconds(std::int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

}  // namespace

Observer::Observer(Options options) : options_(std::move(options)) {
  for (std::size_t i = 0; i < options_.cores; ++i) rings_.push_back(std::make_unique<Ring<RequestEvent>>(kRingEvents));
  metrics_.on_scrape([this](MetricWriter& writer) { collect(writer); });
}

Observer::~Observer() { stop(); }

void Observer::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "observer");
    run();
  });
}

void Observer::stop() {
  {
    std::lock_guard lock(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Observer::wake() {
  {
    std::lock_guard lock(wake_mutex_);
    asleep_.store(false);
  }
  wake_.notify_one();
}

void Observer::run() {
  // While events come nobody wakes this thread (a wake-up is a system call): it comes by.
  while (true) {
    bool last = nap();
    base::Duration again = drain();
    if (last) return;
    if (!batch_.empty()) continue;
    if (again == base::Duration::zero()) {
      sleep(again);
    } else if (again > kVisitEvery) {
      sleep(again - kVisitEvery);  // the rest is the next nap
    }
  }
}

// True when it is time to end.
bool Observer::nap() {
  std::unique_lock lock(wake_mutex_);
  return wake_.wait_for(lock, kVisitEvery, [this] { return stopping_; });
}

// Until an event is recorded or time has passed; zero: however long it takes.
void Observer::sleep(base::Duration at_most) {
  std::unique_lock lock(wake_mutex_);
  asleep_.store(true);
  auto awake = [this] { return stopping_ || !asleep_.load(); };
  if (!queued()) {
    if (at_most == base::Duration::zero()) {
      wake_.wait(lock, awake);
    } else {
      wake_.wait_for(lock, at_most, awake);
    }
  }
  asleep_.store(false);
}

bool Observer::queued() const {
  return std::any_of(rings_.begin(), rings_.end(), [](const auto& ring) { return !ring->empty(); });
}

base::Duration Observer::drain() {
  std::int64_t begun = now();
  visited_.store(begun, std::memory_order_relaxed);
  batch_.clear();
  for (auto& ring : rings_) ring->drain([this](const RequestEvent& event) { batch_.push_back(event); });
  if (!batch_.empty()) {
    auto lock = metrics_.lock();
    for (const RequestEvent& event : batch_) count(event);
  }
  remember();
  base::Duration again = options_.on_batch ? options_.on_batch(batch_) : base::Duration::zero();
  if (batch_.empty()) return again;
  // The log last: whoever reads it slowly holds up neither accounting nor metrics.
  if (options_.access_log) {
    lines_.clear();
    for (const RequestEvent& event : batch_) access_log_.append(lines_, event);
    write_log(lines_);
  }
  auto lock = metrics_.lock();
  metrics_
      .histogram("penstock_observer_visit_seconds", "Work of one visit of the observer that found events.", {},
                 kLatencyBounds)
      .observe(seconds(now() - begun));
  return again;
}

void Observer::remember() {
  std::lock_guard lock(recent_mutex_);
  std::size_t first = batch_.size() > kRecentMax ? batch_.size() - kRecentMax : 0;
  for (std::size_t i = first; i < batch_.size(); ++i) {
    if (recent_.size() < kRecentMax) {
      recent_.push_back(batch_[i]);
    } else {
      recent_[recent_next_] = batch_[i];
    }
    recent_next_ = (recent_next_ + 1) % kRecentMax;
  }
}

Observer::Series& Observer::series_of(const RequestEvent& event) {
  SeriesKey key{event.api.data, event.model.data, event.target.data, event.status, event.error_type};
  if (last_series_ != series_.end() && last_series_->first == key) return last_series_->second;
  last_series_ = series_.find(key);
  if (last_series_ != series_.end()) return last_series_->second;
  std::string status = std::to_string(event.status);
  Labels who{{"api", event.api}, {"model", event.model}, {"target", event.target}};
  Labels all = who;
  all.emplace_back("status", status);
  all.emplace_back("error_type", to_string(event.error_type));
  auto histogram = [&](std::string_view name, std::string_view help, const Labels& labels) {
    return &metrics_.histogram(name, help, labels, kLatencyBounds);
  };
  Series series{
      &metrics_.counter("penstock_requests_total", "Requests answered.", all),
      histogram("penstock_request_seconds", "From the first byte in to the last byte out.", who),
      histogram("penstock_overhead_seconds", "Time spent in the gateway, waiting for upstreams left out.",
                {{"api", event.api}}),
      nullptr,
      nullptr,
      {},
      nullptr,
      nullptr,
  };
  last_series_ = series_.emplace(key, series).first;
  return last_series_->second;
}

// Series that only some calls have come into being with the first such call.
void Observer::count_stream(const RequestEvent& event, Series& series) {
  Labels who{{"api", event.api}, {"model", event.model}, {"target", event.target}};
  if (series.first_token_seconds == nullptr) {
    series.first_token_seconds = &metrics_.histogram(
        "penstock_first_token_seconds", "Streams: from the first byte in to the first event out.", who, kLatencyBounds);
    series.inter_token_seconds = &metrics_.histogram("penstock_inter_token_seconds",
                                                     "Streams: mean time between two events.", who, kLatencyBounds);
  }
  series.first_token_seconds->observe(seconds(event.first_token_nanos));
  if (event.events > 1) {
    series.inter_token_seconds->observe(seconds((event.total_nanos - event.first_token_nanos) / (event.events - 1)));
  }
}

void Observer::count_tokens(const RequestEvent& event, Series& series) {
  constexpr std::array<std::string_view, 5> kKinds{"input", "output", "cached", "cache_write", "reasoning"};
  constexpr std::size_t kAlways = 3;  // the others are there when some were seen
  std::array<std::int64_t, 5> counts{event.input_tokens, event.output_tokens, event.cached_tokens,
                                     event.cache_write_tokens, event.reasoning_tokens};
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (i >= kAlways && counts[i] == 0) continue;
    if (series.tokens[i] == nullptr) {
      series.tokens[i] =
          &metrics_.counter("penstock_tokens_total", "Tokens settled.", {{"kind", kKinds[i]}, {"model", event.model}});
    }
    series.tokens[i]->add(static_cast<double>(counts[i]));
  }
}

void Observer::count_cost(const RequestEvent& event, Series& series) {
  auto made = [&](std::string_view name, std::string_view help) {
    return &metrics_.counter(name, help, {{"model", event.model}, {"target", event.target}});
  };
  if (event.cost_micros != 0) {
    if (series.cost == nullptr) {
      series.cost = made("penstock_cost_usd_total", "What settled calls cost, as far as prices are known.");
      series.cost->parts = 1e6;
    }
    series.cost->add(static_cast<double>(event.cost_micros));
  }
  if (!event.cost_known) {
    if (series.unpriced == nullptr)
      series.unpriced =
          made("penstock_unpriced_requests_total", "Settled calls whose price is not, or not all, known.");
    series.unpriced->add(1);
  }
}

void Observer::count_context(const RequestEvent& event) {
  if (event.over_context)
    metrics_
        .counter("penstock_context_refused_total", "Calls refused because no target's context takes their input.", {})
        .add(1);
  if (event.trimmed > 0)
    metrics_
        .counter("penstock_context_trimmed_total", "Calls whose history was trimmed to fit the context.",
                 {{"model", event.model}})
        .add(1);
}

void Observer::count(const RequestEvent& event) {
  requests_total_.fetch_add(1, std::memory_order_relaxed);
  Series& series = series_of(event);
  series.requests->add(1);
  series.request_seconds->observe(seconds(event.total_nanos));
  series.overhead_seconds->observe(seconds(event.overhead_nanos));
  if (event.first_token_nanos > 0) count_stream(event, series);
  if (event.trimmed > 0 || event.over_context) count_context(event);
  if (!event.usage_known) return;
  count_tokens(event, series);
  count_cost(event, series);
}

std::vector<RequestEvent> Observer::recent(std::size_t limit) const {
  std::lock_guard lock(recent_mutex_);
  std::vector<RequestEvent> newest;
  newest.reserve(std::min(limit, recent_.size()));
  for (std::size_t back = 1; back <= std::min(limit, recent_.size()); ++back)
    newest.push_back(recent_[(recent_next_ + recent_.size() - back) % recent_.size()]);
  return newest;
}

std::uint64_t Observer::dropped() const {
  std::uint64_t total = 0;
  for (const auto& ring : rings_) total += ring->dropped();
  return total;
}

base::Duration Observer::lag() const {
  return queued() ? base::Duration(now() - visited_.load(std::memory_order_relaxed)) : base::Duration::zero();
}

void Observer::collect(MetricWriter& writer) const {
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  std::size_t peak = 0;
  for (const auto& ring : rings_) peak = std::max(peak, ring->peak());
  one("penstock_events_dropped_total", "counter", "Request events lost because the observer was behind.",
      static_cast<double>(dropped()));
  one("penstock_event_queue_peak_events", "gauge", "The most events that ever waited for the observer on one core.",
      static_cast<double>(peak));
  one("penstock_event_queue_capacity_events", "gauge", "How many events can wait on one core before they are lost.",
      static_cast<double>(kRingEvents));
  one("penstock_observer_lag_seconds", "gauge", "How long the oldest waiting event may have waited.",
      seconds(lag().count()));
  one("penstock_log_writes_dropped_total", "counter", "Log writes given up because nobody read standard error.",
      static_cast<double>(log_writes_dropped()));
  one("penstock_log_lines_dropped_total", "counter", "Log lines lost because nobody read standard error.",
      static_cast<double>(log_lines_dropped()));
}

}  // namespace penstock::obs
