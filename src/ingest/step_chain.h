// Steps in a row: those of a pipeline, and those inside one of its steps (branch).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ingest/contracts.h"
#include "ingest/taps.h"

namespace penstock::ingest {

// One step as people see it. Counted on the pipeline's loop, read by any thread.
struct StepSlot {
  std::string place;     // "3", in a branch "3.1.2"
  std::string kind;      // "alarm"
  std::string identity;  // what a reload knows it by: the kind, and its name when it has one
  std::atomic<std::uint64_t> in{0};
  std::atomic<std::uint64_t> out{0};
  std::atomic<std::uint64_t> errors{0};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> nanos{0};  // in the step itself; estimated from one sample in kTimedEvery
};

// What plan() found, for `penstock check`.
struct StepLine {
  std::string place;
  std::string kind;
  StepPlan plan;
};

// What all chains of a pipeline share; outlives them. On the pipeline's loop.
struct StepFrame {
  static constexpr unsigned kTimedEvery = 64;

  Context context;
  std::string pipeline;
  rt::Loop* loop = nullptr;
  std::shared_ptr<Taps> taps;
  std::function<void(const AlarmChange&)> alarm_changed;
  std::shared_ptr<AlarmTable> alarms;
  std::function<std::vector<AlarmChange>(const std::string& alarm)> raised;
  std::function<void(std::string_view what)> failed;
  std::function<void(std::uint64_t samples)> dropped;
  std::function<void(DeadLetter)> dead;

  std::vector<std::shared_ptr<StepSlot>> slots;  // of all chains, in the order of the file
  std::map<std::string, Output*> inputs;         // of every step, by place
  // Until the pipeline starts.
  std::map<std::string, config::Node> nodes;  // by place
  std::vector<StepLine> lines;                // in the order of the file
  bool complete = true;                       // every step could be built

  // The time of one push, without that of the steps behind it.
  bool timing = false;
  std::uint64_t scale = 1;
  std::uint64_t nanos_behind = 0;
};

class StepChain : public Chain {
 public:
  static constexpr int kDepthMax = 8;

  // `prefix`: of the places, "" or "3.1.".
  StepChain(StepFrame& frame, std::string prefix, Output& out);
  ~StepChain() override;

  // Builds what the list says; mistakes are reported on it.
  void read(const config::Node& steps);

  void push(Sample sample) override;
  void tick(base::WallMicros now) override;
  void flush() override;
  bool busy() const override;
  // Steps of one identity in the same order take over; what comes out of `before` later goes on behind them here, as
  // long as both live.
  void adopt(Chain& before) override;
  // Problems are reported at the places of the steps, and each step's plan is kept in the frame's lines.
  StepPlan plan(const Shape& in) const override;

 private:
  class Stage;
  std::shared_ptr<StepSlot> new_slot(std::string kind, const std::string& name);
  StepContext context_for(const std::shared_ptr<StepSlot>& slot);
  void add(std::shared_ptr<StepSlot> slot, std::unique_ptr<Step> step);
  void link();
  std::vector<std::string> identities() const;

  StepFrame& frame_;
  std::string prefix_;
  Output& out_;
  std::vector<std::unique_ptr<Stage>> stages_;  // one per step and one at the end
};

}  // namespace penstock::ingest
