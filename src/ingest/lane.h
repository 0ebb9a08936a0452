// The running device lane: sources, pipelines and sinks on the loops, replaced piece by piece at reload.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "ingest/buffer_store.h"
#include "ingest/plan.h"

namespace penstock::ingest {

struct LaneOptions {
  Context context;
  std::vector<rt::Loop*> loops;                      // pipelines and sources are spread over them; at least one
  std::function<void(const AlarmChange&)> on_alarm;  // for the log; on the pipeline's thread
  std::function<void(const std::string&)> on_problem = [](const std::string&) {};  // the same: in words
  // For the log: what happened to a buffer or journal on the disk, in words; on any thread.
  std::function<void(const std::string& buffer, const std::string& what)> on_buffer = {};
};

struct SourceStatus {
  std::string name;
  std::string kind;
  std::uint64_t samples = 0;  // emitted
  Status status;
};

// A device over all pipelines.
struct LaneDevice {
  DeviceStatus status;
  std::vector<std::string> pipelines;
};

struct Replayed {
  std::size_t replayed = 0;
  std::size_t left = 0;  // their step or sink is gone
};

// apply() and stop() are called by one thread at a time while the loops run or before they do; everything else may be
// called by any thread. The loops and the context outlive the lane, and the lane is stopped before the loops are.
class Lane : public WritePort {
 public:
  explicit Lane(LaneOptions options);
  ~Lane() override;

  // Reads the configuration for this lane; see read_plan(). Look at the document before applying.
  Plan plan(config::Map& root);
  // Starts what is new, replaces what is written differently, stops what is gone; the rest is not touched. A replaced
  // pipeline loses nothing: see Pipeline::start().
  void apply(Plan plan);
  // Sources first, then pipelines with all they hold; `done` once, on one of the loops. Alarms stand for the next
  // start.
  void stop(std::function<void()> done);

  // Hands bytes to a source on its loop; `done` is called on `reply` with the number of samples taken. `device`: who
  // sends them, and speaks as itself alone; empty: anybody. Errors: not_found (no such source), unavailable (before the
  // first apply() and after stop()), and the source's own.
  void accept(const std::string& source, std::string content_type, std::string body, rt::Loop& reply,
              std::function<void(Result<std::size_t>)> done, std::string device = {});

  // WritePort: through the running source of that name.
  void write(rt::Loop& loop, PointWrite write, std::function<void(Result<Value>)> done) override;
  void read(rt::Loop& loop, PointRead read, std::function<void(Result<Value>)> done) override;

  std::vector<SourceStatus> sources() const;
  std::vector<std::shared_ptr<const Pipeline>> pipelines() const;
  std::shared_ptr<const Pipeline> pipeline(const std::string& name) const;
  std::vector<std::string> pipeline_sources(const std::string& name) const;
  std::vector<LaneDevice> devices() const;
  // On the disk: those of sinks and sources that run, and those that are left over.
  BufferStore& buffers() { return buffers_; }
  const BufferStore& buffers() const { return buffers_; }
  // Null when there is no such pipeline.
  std::shared_ptr<EventHub> events(const std::string& pipeline) const;
  // What passes one place of a pipeline (taps.h). Null when there is no such pipeline or place.
  std::shared_ptr<EventHub> tap(const std::string& pipeline, const std::string& place) const;
  // Gives dead letters (all without ids) to where they failed; `done` once, on any thread.
  void replay_dead_letters(const std::string& pipeline, const std::set<std::uint64_t>& ids,
                           std::function<void(Replayed)> done) const;
  AlarmBoard& alarms() { return board_; }
  const AlarmBoard& alarms() const { return board_; }

 private:
  struct RunningSource;
  struct RunningPipeline;

  rt::Loop* loop_for(const std::string& name) const;
  void replace_sources(std::vector<PlannedSource> planned);
  void replace_pipelines(std::vector<PlannedPipeline> planned);
  void connect();
  void connect_pipelines();
  void stop_pipelines(std::vector<std::shared_ptr<RunningPipeline>> left, std::function<void()> done);
  void stop_pipeline(const RunningPipeline& running, std::function<void()> done);
  void declare_alarms();
  void close_buffers(const std::vector<std::shared_ptr<RunningSource>>& sources, std::function<void()> done);
  std::shared_ptr<RunningSource> find_source(const std::string& name) const;
  // Asks the running source on its loop; `done` on `loop`.
  using Answer = std::function<void(Result<Value>)>;
  void ask(rt::Loop& loop, const std::string& source, std::function<void(Source&, Answer)> question, Answer done);

  LaneOptions options_;
  AlarmBoard board_;
  BufferStore buffers_;
  std::atomic<bool> running_{false};  // between the first apply() and stop()
  mutable std::mutex mutex_;          // guards the three below; never held while calling out
  std::vector<std::shared_ptr<RunningSource>> sources_;
  std::vector<std::shared_ptr<RunningPipeline>> pipelines_;
  struct Hubs {
    std::shared_ptr<EventHub> events = std::make_shared<EventHub>();
    std::shared_ptr<Taps> taps = std::make_shared<Taps>();
  };
  std::map<std::string, Hubs> hubs_;
  DeadLetterStore dead_letters_;
};

}  // namespace penstock::ingest
