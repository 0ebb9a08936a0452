// For tests of steps: makes one from YAML and keeps what it emits.
#pragma once

#include <gtest/gtest.h>

#include "ingest/contracts.h"

namespace penstock::ingest {

class StepHarness : public Output {
 public:
  // `make` is the step's factory; `yaml` what stands behind the step's key.
  template <class Make>
  StepHarness(Make make, const std::string& yaml, Context context = {}, rt::Loop* loop = nullptr) : context_(context) {
    auto document = config::Document::parse("step: " + yaml + "\n", "test.yaml");
    if (!document) {
      ADD_FAILURE() << document.error().detail;
      return;
    }
    StepContext step_context;
    step_context.shared = &context_;
    step_context.pipeline = "line";
    step_context.loop = loop;
    step_context.alarm_changed = [this](const AlarmChange& change) { changes.push_back(change); };
    step_context.failed = [this](std::string_view what) { errors.emplace_back(what); };
    step_context.dropped = [this](std::uint64_t samples) { dropped += samples; };
    config::Map root = document->root().map();
    step = make(root.get("step"), step_context);
    root.done();
    report = document->report();
  }

  void emit(Sample sample) override { out.push_back(std::move(sample)); }
  void push(Sample sample) {
    arrived_ = std::max(arrived_, sample.ingest_time);
    step->push(std::move(sample), *this);
  }
  // Ten times a second from the last sample or tick on, as a pipeline does.
  void tick(base::WallMicros now) {
    if (arrived_ != 0) {
      for (; arrived_ < now; arrived_ += 100'000) step->tick(arrived_, *this);
    }
    step->tick(now, *this);
    arrived_ = std::max(arrived_, now);
  }
  void flush() { step->flush(*this); }

  std::unique_ptr<Step> step;
  std::string report;  // mistakes of the configuration
  std::vector<Sample> out;
  std::vector<AlarmChange> changes;
  std::vector<std::string> errors;
  std::uint64_t dropped = 0;

 private:
  Context context_;
  base::WallMicros arrived_ = 0;
};

// One number measured by `device` at `millis`, received at once.
inline Sample sample_at(std::int64_t millis, std::string_view field, Value value, std::string device = "d") {
  Sample sample;
  sample.event_time = sample.ingest_time = 1'700'000'000'000'000 + millis * 1000;
  sample.device = std::move(device);
  sample.set(field, std::move(value));
  return sample;
}

inline double number(const Sample& sample, std::string_view field) {
  const Field* found = sample.find(field);
  if (found == nullptr) return std::numeric_limits<double>::quiet_NaN();
  if (const auto* integer = std::get_if<std::int64_t>(&found->value)) return static_cast<double>(*integer);
  const auto* value = std::get_if<double>(&found->value);
  return value == nullptr ? std::numeric_limits<double>::quiet_NaN() : *value;
}

}  // namespace penstock::ingest
