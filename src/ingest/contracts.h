// What a source, a step and a sink are. Implementations live in src/ext/{sources,steps,sinks}/<name> and add their
// factory to the registry. A factory reads its configuration and builds the object without side effects, so that
// `penstock check` can do it; start() begins the work.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/registry.h"
#include "base/result.h"
#include "config/document.h"
#include "ingest/sample.h"
#include "json/value.h"
#include "rt/loop.h"

namespace penstock::ingest {

// --- ports: what this lane asks of others, filled by the composition root -------------------------------------------

// A named input or output of a local model, by value: rows of numbers, row-major.
struct NamedArray {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<double> data;
};

// Asks a local model. Runs on the pipeline's loop; `done` is called exactly once on that loop, at once or later.
class ModelPort {
 public:
  virtual ~ModelPort() = default;
  virtual void infer(rt::Loop& loop, const std::string& model, std::vector<NamedArray> inputs, base::Duration timeout,
                     std::function<void(Result<std::vector<NamedArray>>)> done) = 0;
};

// Sends one HTTP POST; `done` is called exactly once on `loop` with the status or why there is none.
struct HttpPost {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  base::Duration timeout{};
};
class HttpPort {
 public:
  virtual ~HttpPort() = default;
  virtual void post(rt::Loop& loop, HttpPost request, std::function<void(Result<int>)> done) = 0;
};

// What every extension of this lane may use. Outlives all of them.
struct Context {
  const base::Registry* registry = nullptr;
  const base::Clock* clock = nullptr;
  ModelPort* models = nullptr;  // null in `penstock check`
  HttpPort* http = nullptr;     // null in `penstock check` and `penstock test`
};

// --- sources ---------------------------------------------------------------------------------------------------------

// Hands samples to every pipeline that reads the source. Any thread. False when a queue behind it was full and the
// samples were not taken by all: the source says in its own documentation what it does then (and counts it).
using Emit = std::function<bool(std::vector<Sample> samples)>;

// For the status page and readiness.
struct Status {
  bool connected = false;
  std::string detail;          // the last error or what it is connected to; never a secret
  std::uint64_t messages = 0;  // taken in or delivered
  std::uint64_t dropped = 0;   // refused, malformed or lost to a full queue
};

class Source {
 public:
  virtual ~Source() = default;
  // Begins to emit; called once, on `loop`. An unreachable peer is not an error: the source keeps trying and says so in
  // status().
  virtual Result<void> start(rt::Loop& loop, Emit emit) = 0;
  // After it returns nothing is emitted. Called on the loop.
  virtual void stop() = 0;
  // Any thread.
  virtual Status status() const = 0;
  // Bytes pushed in from outside (POST /ingest/{source}); sources that only pull refuse. On the loop.
  virtual Result<std::size_t> accept(std::string_view content_type, std::string_view body) {
    (void)content_type, (void)body;
    return fail(Errc::unimplemented, "this source takes no pushed data; use a source of kind `http`");
  }
};

struct SourceFactory {
  // `kind` is the node under the source's own key ({ mqtt: <kind>, topic: ... }), `map` the whole source entry with the
  // kind's key and the shared keys already known. The caller calls map.done().
  std::function<std::unique_ptr<Source>(const std::string& name, const config::Node& kind, config::Map& map,
                                        const Context& context)>
      make;
};

// --- steps -----------------------------------------------------------------------------------------------------------

// Where a step puts what it makes. Valid as long as the pipeline.
class Output {
 public:
  virtual ~Output() = default;
  virtual void emit(Sample sample) = 0;
};

// One stage of a pipeline. All calls are on the pipeline's loop, one at a time.
class Step {
 public:
  virtual ~Step() = default;
  virtual void push(Sample sample, Output& out) = 0;
  // Time passed without samples: called about every 100 ms with the wall time (in `penstock test` with event time).
  virtual void tick(base::WallMicros now, Output& out) { (void)now, (void)out; }
  // The input ended (a test's feed, a drain): emit what is still held.
  virtual void flush(Output& out) { (void)out; }
  // True while samples wait for an answer from elsewhere (a model); `penstock test` waits for it.
  virtual bool busy() const { return false; }
};

struct StepContext {
  const Context* shared = nullptr;
  std::string pipeline;
  rt::Loop* loop = nullptr;                                // null in `penstock check`
  std::function<void(const AlarmChange&)> alarm_changed;   // told of every raise and clear
  std::function<void(std::string_view what)> failed = {};  // one sample could not be worked on; counted, last one shown
  std::function<void(std::uint64_t samples)> dropped = {};  // samples given up by rule: late, over a limit; counted

  void tell(const AlarmChange& change) const {
    if (alarm_changed) alarm_changed(change);
  }
  void error(std::string_view what) const {
    if (failed) failed(what);
  }
  void drop(std::uint64_t samples = 1) const {
    if (dropped) dropped(samples);
  }
};

struct StepFactory {
  // `kind` is the node under the step's key. Reports mistakes on it; null then.
  std::function<std::unique_ptr<Step>(const config::Node& kind, const StepContext& context)> make;
};

// --- sinks -----------------------------------------------------------------------------------------------------------

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> start(rt::Loop& loop) = 0;
  // On the loop. Never blocks; when its bounded queue is full it drops by its documented rule and counts.
  virtual void deliver(const Sample& sample) = 0;
  virtual void stop() = 0;
  virtual Status status() const = 0;
};

struct SinkFactory {
  std::function<std::unique_ptr<Sink>(const std::string& pipeline, const config::Node& kind, const Context& context)>
      make;
};

}  // namespace penstock::ingest
