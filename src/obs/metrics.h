// Counters, gauges and histograms in the Prometheus text format 0.0.4. Updated off the hot path by the observer thread;
// everything else is collected at scrape time.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::obs {

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

// Writes samples while a scrape is being answered.
class MetricWriter {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(std::string_view name, const Labels& labels, double value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct Counter {
  double value = 0;
  double parts = 1;  // of one shown unit: money is added up in millionths, exactly
  void add(double by) { value += by; }
};

class Histogram {
 public:
  // `bounds` are upper bounds in rising order; +Inf is implied. They must outlive the histogram.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size()) {}
  void observe(double value);

 private:
  friend class Metrics;
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
  std::uint64_t total_ = 0;
};

class Metrics {
 public:
  // The series with these labels, made at first use; the reference stays valid. Hold lock() while making or changing
  // series. The family's help is that of the first call.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels);
  Histogram& histogram(std::string_view name, std::string_view help, const Labels& labels,
                       std::span<const double> bounds);
  [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }

  // Called at every scrape, without the lock, for values that live elsewhere.
  void on_scrape(std::function<void(MetricWriter&)> collect);
  std::string render() const;

 private:
  struct Family {
    std::string help;
    std::map<std::string, Counter> counters;  // by rendered labels
    std::map<std::string, Histogram> histograms;
  };
  Family& family(std::string_view name, std::string_view help);
  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  std::vector<std::function<void(MetricWriter&)>> collectors_;
};

// Seconds; from 100 us to 60 s, wide enough for a local hop and a slow answer.
extern const std::vector<double> kLatencyBounds;

}  // namespace penstock::obs
