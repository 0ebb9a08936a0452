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
#include "ingest/event_hub.h"
#include "ingest/outlet.h"

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

// A device as one pipeline sees it.
struct DeviceStatus {
  std::string device;
  base::WallMicros last_seen = 0;  // ingest time
  base::WallMicros last_event = 0;
  Quality quality = Quality::good;
  std::uint64_t samples = 0;
};

// Everything a pipeline needs from around it. The board and the hub may be null (tests).
struct PipelineParts {
  Context context;
  rt::Loop* loop = nullptr;
  AlarmBoard* board = nullptr;
  std::shared_ptr<EventHub> hub;
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

  // For the step factories: valid as long as the pipeline.
  const StepContext& step_context() const { return step_context_; }
  void add_step(std::string kind, std::unique_ptr<Step> step);
  void add_sink(std::string kind, std::unique_ptr<Sink> sink, OutletOptions options = {});
  const std::string& name() const { return name_; }
  const std::vector<std::string>& step_kinds() const { return step_kinds_; }

  // Any thread. Sinks start and ticks begin on the loop.
  void start();
  // Any thread. On the loop: what is queued is worked off, steps flush, sinks stop; then `done` is called there.
  void stop(std::function<void()> done);
  // Any thread. False: refused, nothing was taken.
  bool offer(std::vector<Sample> samples);

  // Any thread.
  PipelineStats stats() const;
  std::vector<DeviceStatus> devices() const;
  std::vector<OutletStatus> sinks() const;

  // On the loop, or on any one thread when the pipeline was never started: for `penstock test`.
  void push(Sample sample);
  void tick(base::WallMicros now);
  void flush();
  bool busy() const;
  void on_output(std::function<void(const Sample&)> told) { on_output_ = std::move(told); }

 private:
  class Stage;
  void work();
  void stop_outlets(std::function<void()> done);
  void on_tick();
  void leave(Sample sample);
  void changed(const AlarmChange& change);
  void note_devices(std::span<const Sample> samples);
  void count_latency(base::WallMicros ingest_time);

  std::string name_;
  PipelineParts parts_;
  StepContext step_context_;
  std::vector<std::string> step_kinds_;
  std::vector<std::unique_ptr<Stage>> stages_;  // one per step and one at the end
  std::vector<std::shared_ptr<Outlet>> outlets_;
  std::unique_ptr<rt::Timer> timer_;
  std::function<void(const Sample&)> on_output_;

  // The loop's own.
  std::vector<Sample> working_;
  std::size_t working_at_ = 0;
  base::WallMicros burst_now_ = 0;
  Sample newest_;
  bool newest_fresh_ = false;
  bool stopped_ = false;

  std::atomic<std::size_t> queued_{0};
  std::atomic<std::uint64_t> in_{0}, out_{0}, refused_{0}, dropped_{0}, errors_{0}, alarms_{0}, busy_nanos_{0};
  std::array<std::atomic<std::uint64_t>, kLatencyBounds.size() + 1> latency_{};
  std::atomic<std::uint64_t> latency_micros_{0};

  std::mutex incoming_mutex_;
  std::vector<Sample> incoming_;  // guarded by incoming_mutex_
  bool posted_ = false;           // guarded by incoming_mutex_: work() is on its way
  bool closed_ = false;           // guarded by incoming_mutex_: nothing more is taken

  mutable std::mutex shown_mutex_;  // guards what follows
  std::string last_error_;
  std::optional<Sample> shown_;
  std::unordered_map<std::string, DeviceStatus> devices_;
};

}  // namespace penstock::ingest
