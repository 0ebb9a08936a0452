// One pipeline: samples come in through a bounded queue, pass its steps in order on its loop and leave to its sinks.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ingest/alarm_board.h"
#include "ingest/contracts.h"
#include "ingest/dead_letters.h"
#include "ingest/event_hub.h"
#include "ingest/origin.h"
#include "ingest/outlet.h"
#include "ingest/step_chain.h"

namespace penstock::ingest {

// Upper bounds, in seconds, of the time from a sample's arrival to its leaving the last step; the last bucket has none.
constexpr std::array<double, 11> kLatencyBounds{0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1, 5};

struct PipelineStats {
  std::uint64_t in = 0;       // samples taken into the queue
  std::uint64_t out = 0;      // samples that left the last step
  std::uint64_t refused = 0;  // samples refused because the queue was full
  std::uint64_t dropped = 0;  // samples given up by a step's rule: late, over a limit
  std::uint64_t errors = 0;   // samples a step could not work on
  std::uint64_t alarms = 0;   // raises
  std::size_t queued = 0;
  double busy_seconds = 0;                                         // time spent in steps and sinks
  std::array<std::uint64_t, kLatencyBounds.size() + 1> latency{};  // counts per bucket
  double latency_seconds = 0;                                      // sum
  std::string last_error;
  std::optional<Sample> last;  // the newest sample out, at most 100 ms old
};

// One step, those inside other steps too.
struct StepStats {
  std::string place;  // "3", in a branch "3.1.2"
  std::string kind;
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::uint64_t errors = 0;
  std::uint64_t dropped = 0;
  double seconds = 0;  // in the step itself, estimated from one sample in 64
};

// A device as one pipeline sees it.
struct DeviceStatus {
  std::string device;
  base::WallMicros last_seen = 0;  // ingest time
  base::WallMicros last_event = 0;
  Quality quality = Quality::good;
  std::uint64_t samples = 0;
};

// Everything a pipeline needs from around it. All but the context may be null (tests).
struct PipelineParts {
  Context context;
  rt::Loop* loop = nullptr;
  AlarmBoard* board = nullptr;
  std::shared_ptr<EventHub> hub;
  std::shared_ptr<Taps> taps = {};
  std::shared_ptr<DeadLetters> dead_letters = {};
  BufferStore* buffers = nullptr;  // null: nothing is put on the disk
};

// Made and filled on one thread, then started; from then on everything runs on its loop except where "any thread" is
// said. Kept by shared pointer, because work posted to the loop keeps it alive.
class Pipeline : public std::enable_shared_from_this<Pipeline> {
 public:
  // Samples waiting. When full a batch is refused whole (a batch larger than this only passes an empty queue).
  static constexpr std::size_t kQueueMax = 10'000;
  // Devices remembered for the status page; beyond that new ones are not listed.
  static constexpr std::size_t kDevicesMax = 10'000;
  static constexpr base::Duration kTick = std::chrono::milliseconds(100);

  Pipeline(std::string name, PipelineParts parts);
  ~Pipeline();

  // Builds the steps of a list; mistakes are reported on it.
  void read_steps(const config::Node& steps) { steps_->read(steps); }
  // `written` tells at a reload whether the sink is still the same.
  void add_sink(std::string kind, std::unique_ptr<Sink> sink, std::string written = {}, OutletOptions options = {});
  const std::string& name() const { return name_; }
  std::vector<std::string> step_kinds() const;  // without those inside others
  const AlarmTable& alarms() const { return *frame_.alarms; }

  // Before it starts: what comes out for what comes in. Problems are reported at the places of the steps.
  StepPlan plan(const Shape& in);
  // What plan() found, step by step; empty once it runs.
  const std::vector<StepLine>& lines() const { return frame_.lines; }

  // Any thread. Sinks start and ticks begin on the loop. With `before`, which runs on the same loop under the same
  // name: takes its place without losing a sample. Its queue, what its steps hold and fits here, its unchanged sinks
  // and its standing alarms move over; whatever else comes out of it goes on here.
  void start(std::shared_ptr<Pipeline> before = {});
  // Any thread. On the loop: what is queued is worked off, steps flush, sinks stop; then `done` is called there.
  void stop(std::function<void()> done);
  // Any thread. False: refused, nothing was taken.
  bool offer(std::vector<Sample> samples);
  // The same for one who comes again: what is refused stays where it is, and is not counted.
  bool take(std::vector<Sample>& samples);
  // Any thread. Pipelines that read this one: they get a copy of what comes out. One that is full is waited for.
  void set_readers(std::vector<std::shared_ptr<Pipeline>> readers);
  // Any thread. Dead letters go once more into the step or sink where they failed; `done` on the loop with those whose
  // place is gone.
  void replay(std::vector<KeptLetter> letters, std::function<void(std::vector<KeptLetter> left)> done);

  // Any thread.
  PipelineStats stats() const;
  std::vector<DeviceStatus> devices() const;
  std::vector<OutletStatus> sinks() const;
  std::vector<StepStats> steps() const;
  const std::shared_ptr<DeadLetters>& dead_letters() const { return parts_.dead_letters; }

  // On the loop, or on any one thread when the pipeline was never started: for `penstock test`.
  void push(Sample sample);
  void tick(base::WallMicros now);
  void flush();
  bool busy() const;
  void on_output(std::function<void(const Sample&)> told) { on_output_ = std::move(told); }

 private:
  class End;
  struct Reader {
    std::shared_ptr<Pipeline> to;
    std::vector<Sample> waiting;
  };
  struct SinkSlot {
    std::string written;
    std::shared_ptr<Outlet> outlet;
    bool running = false;  // taken over from before a reload
  };

  bool sink_full() const;
  void furnish();
  Pipeline& latest();
  static std::vector<std::string> written(const std::vector<SinkSlot>& sinks);
  void work();
  void push_timed(Sample sample);
  void on_tick();
  void leave(Sample sample);
  void changed(const AlarmChange& change);
  void failed(std::string_view what);
  void dead(DeadLetter letter);
  void note_devices(std::span<const Sample> samples);
  void count_latency(base::WallMicros ingest_time);
  // Readers.
  void hand_on();
  void hand_on_soon();
  bool stalled() const;
  void work_later();
  // Reload.
  void inherit(const std::shared_ptr<Pipeline>& before);
  void inherit_queue(Pipeline& before);
  void inherit_figures(Pipeline& before);
  void inherit_outlets(Pipeline& before, std::function<void()> others_stopped);
  void open();
  bool replay_one(const KeptLetter& letter);
  void retire_idle();
  bool retired() const;
  void stop_now(std::function<void()> done);
  void stop_outlets(std::function<void()> done);

  std::string name_;
  PipelineParts parts_;
  StepFrame frame_;
  std::unique_ptr<End> end_;
  OriginSuffix way_;             // of samples that came into this pipeline
  bool may_refuse_ = false;      // a sink's queue refuses when it is full
  std::vector<SinkSlot> sinks_;  // changed on the loop at a reload, with shown_mutex_
  std::unique_ptr<StepChain> steps_;
  std::unique_ptr<rt::Timer> timer_;
  std::function<void(const Sample&)> on_output_;

  // The loop's own.
  std::vector<Sample> working_;
  std::size_t working_at_ = 0;
  base::WallMicros burst_now_ = 0;
  base::WallMicros queue_taken_at_ = 0;  // when what is in working_ was taken from the queue
  base::WallMicros worked_until_ = 0;    // everything offered before has been through the steps
  Sample newest_;
  bool newest_fresh_ = false;
  bool stopped_ = false;
  unsigned untimed_ = 0;  // samples since the last whose way was timed
  std::vector<Reader> readers_;
  std::unique_ptr<rt::Timer> reader_timer_;
  bool handing_on_ = false;  // hand_on() is on its way
  bool work_waits_ = false;  // for readers or sinks
  // A reload. From start() until the sinks run, samples wait: the queue in the queue, what comes out in held_.
  bool opening_ = false;
  std::vector<Sample> held_;
  std::vector<std::function<void()>> when_open_;
  Pipeline* heir_ = nullptr;                         // what comes late goes there; it owns us
  std::vector<std::shared_ptr<Pipeline>> retiring_;  // those before that still wait for answers

  std::atomic<std::size_t> queued_{0};
  std::atomic<std::uint64_t> in_{0}, out_{0}, refused_{0}, dropped_{0}, errors_{0}, alarms_{0}, busy_nanos_{0};
  std::array<std::atomic<std::uint64_t>, kLatencyBounds.size() + 1> latency_{};
  std::atomic<std::uint64_t> latency_micros_{0};

  std::mutex incoming_mutex_;
  std::vector<Sample> incoming_;  // guarded by incoming_mutex_
  bool posted_ = false;           // guarded by incoming_mutex_: work() is on its way
  bool closed_ = false;           // guarded by incoming_mutex_: nothing more is taken
  std::weak_ptr<Pipeline> next_;  // guarded by incoming_mutex_: where samples go after a reload

  mutable std::mutex shown_mutex_;  // guards what follows
  std::string last_error_;
  std::optional<Sample> shown_;
  std::unordered_map<std::string, DeviceStatus> devices_;
};

}  // namespace penstock::ingest
