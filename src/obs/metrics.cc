#include "obs/metrics.h"

#include <cmath>

namespace penstock::obs {

const std::vector<double> kLatencyBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};

namespace {

// {a="b",c="d"} or nothing; values escaped as the format asks.
std::string render_labels(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += out.empty() ? "{" : ",";
    out += name;
    out += "=\"";
    for (char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n') {
        out += "\\n";
      } else {
        out += c;
      }
    }
    out += '"';
  }
  if (!out.empty()) out += '}';
  return out;
}

std::string render_number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{}", static_cast<std::int64_t>(value));
  return fmt::format("{}", value);
}

void append_sample(std::string& out, std::string_view name, std::string_view labels, double value) {
  fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, labels, render_number(value));
}

// Inserts le="bound" into rendered labels.
std::string with_bound(const std::string& labels, const std::string& bound) {
  if (labels.empty()) return fmt::format("{{le=\"{}\"}}", bound);
  return fmt::format("{},le=\"{}\"}}", labels.substr(0, labels.size() - 1), bound);
}

}  // namespace

void MetricWriter::family(std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void MetricWriter::sample(std::string_view name, const Labels& labels, double value) {
  append_sample(text_, name, render_labels(labels), value);
}

void Histogram::observe(double value) {
  auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  if (bucket != bounds_.end()) ++counts_[static_cast<std::size_t>(bucket - bounds_.begin())];
  sum_ += value;
  ++total_;
}

Metrics::Family& Metrics::family(std::string_view name, std::string_view help) {
  auto found = families_.find(name);
  if (found == families_.end()) found = families_.emplace(std::string(name), Family{std::string(help), {}, {}}).first;
  return found->second;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return family(name, help).counters[render_labels(labels)];
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels,
                              std::span<const double> bounds) {
  return family(name, help).histograms.try_emplace(render_labels(labels), bounds).first->second;
}

void Metrics::on_scrape(std::function<void(MetricWriter&)> collect) {
  std::lock_guard lock(mutex_);
  collectors_.push_back(std::move(collect));
}

std::string Metrics::render() const {
  MetricWriter writer;
  std::vector<std::function<void(MetricWriter&)>> collectors;
  std::string out;
  {
    std::lock_guard lock(mutex_);
    collectors = collectors_;
    for (const auto& [name, family] : families_) {
      fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, family.help, name,
                     family.histograms.empty() ? "counter" : "histogram");
      for (const auto& [labels, counter] : family.counters)
        append_sample(out, name, labels, counter.value / counter.parts);
      for (const auto& [labels, histogram] : family.histograms) {
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < histogram.bounds_.size(); ++i) {
          below += histogram.counts_[i];
          append_sample(out, name + "_bucket", with_bound(labels, fmt::format("{}", histogram.bounds_[i])),
                        static_cast<double>(below));
        }
        append_sample(out, name + "_bucket", with_bound(labels, "+Inf"), static_cast<double>(histogram.total_));
        append_sample(out, name + "_sum", labels, histogram.sum_);
        append_sample(out, name + "_count", labels, static_cast<double>(histogram.total_));
      }
    }
  }
  for (const auto& collect : collectors) collect(writer);
  return out + writer.text();
}

}  // namespace penstock::obs
