// What a source, a step and a sink are. Implementations live in src/ext/{sources,steps,sinks}/<name> and add their
// factory to the registry. A factory reads its configuration and builds the object without side effects, so that
// `penstock check` can do it; start() begins the work.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/registry.h"
#include "base/result.h"
#include "base/secret.h"
#include "config/document.h"
#include "ingest/alarm_rules.h"
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

// Sends one HTTP POST; `done` is called exactly once on `loop` with the status or why there is none. Redirects are
// answers like any other: nothing is followed.
struct HttpPost {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  base::Duration timeout{};
  // For what must not happen twice: never sent again, also where a kept connection turns out to be closed. data_loss
  // then says that it was sent, at least in part, and that nobody knows what became of it.
  bool once = false;
};
class HttpPort {
 public:
  virtual ~HttpPort() = default;
  virtual void post(rt::Loop& loop, HttpPost request, std::function<void(Result<int>)> done) = 0;
};

// Asks a language model through the gateway's own routes: limits, budgets, guardrails and the ledger see the call as
// any client's with this credential. `done` is called exactly once on `loop`, with the text of the answer.
struct LlmQuestion {
  base::Secret key;   // empty where the gateway has no keys
  std::string model;  // a route, or provider/model
  std::string system;
  std::string prompt;
  std::int64_t max_tokens = 256;
  base::Duration timeout{};
};
class LlmPort {
 public:
  virtual ~LlmPort() = default;
  virtual void ask(rt::Loop& loop, LlmQuestion question, std::function<void(Result<std::string>)> done) = 0;
};

// Sets a point of a device through the source that reads it, and reads it back. `done` is called exactly once on `loop`
// with the value read back; not_found for an unknown source or point, permission_denied for one that is not writable,
// data_loss where it was sent and nobody knows whether it was done.
struct PointWrite {
  std::string source;
  std::string point;  // as the source names it; for sources with many devices "device.point"
  Value value;
  base::Duration timeout{};
};
// Asks the device for what a point holds now, whether the source reads it by itself or not, in its turn and at the pace
// of the device. `done` as above; not_found also where the device has no such address to read, unimplemented for a
// source that cannot be asked. Any other failure may pass.
struct PointRead {
  std::string source;
  std::string point;
  base::Duration timeout{};
};
class WritePort {
 public:
  virtual ~WritePort() = default;
  virtual void write(rt::Loop& loop, PointWrite write, std::function<void(Result<Value>)> done) = 0;
  virtual void read(rt::Loop& loop, PointRead read, std::function<void(Result<Value>)> done) = 0;
};

// What steps remember over a restart: small values under keys that begin with "PIPELINE/". Any thread; reading is from
// memory. `kept` is called on an unspecified thread once the change is on disk, or with why it could not be put there.
class StatePort {
 public:
  using Kept = std::function<void(Result<void>)>;
  virtual ~StatePort() = default;
  virtual std::optional<std::string> get(const std::string& key) const = 0;
  virtual void put(std::string key, std::string value, Kept kept = {}) = 0;
  virtual void erase(const std::string& key) = 0;
  // All whose key begins so.
  virtual std::vector<std::pair<std::string, std::string>> entries(const std::string& prefix) const {
    (void)prefix;
    return {};
  }
};

// Which devices may speak: quarantined and unknown ones may not, when the registry says so. Any thread.
class DevicePort {
 public:
  virtual ~DevicePort() = default;
  // False: the samples of this device are not taken (and counted by the port).
  virtual bool admit(std::string_view source, std::string_view device) = 0;
};

class NotifyPort;   // notify.h
class ActionBoard;  // action_board.h

// What every extension of this lane may use. Outlives all of them. `penstock check` and `penstock test` leave ports
// null.
struct Context {
  const base::Registry* registry = nullptr;
  const base::Clock* clock = nullptr;
  ModelPort* models = nullptr;
  HttpPort* http = nullptr;
  LlmPort* llm = nullptr;
  WritePort* writes = nullptr;
  StatePort* state = nullptr;
  DevicePort* devices = nullptr;
  NotifyPort* notify = nullptr;
  ActionBoard* actions = nullptr;
  std::string data_dir = {};  // where journals and buffers live; empty where nothing may be written
};

// --- what is known at load -------------------------------------------------------------------------------------------

struct FieldType {
  enum class Kind : std::uint8_t { unknown, boolean, number, text, array };
  Kind kind = Kind::unknown;
  std::string unit;           // empty: none or unknown
  std::uint32_t longest = 0;  // values in an array, at most; 0: unknown
  bool operator==(const FieldType&) const = default;
};

// What is known of the samples at one place of a pipeline.
struct Shape {
  std::map<std::string, FieldType, std::less<>> fields;
  bool open = true;                          // other fields may come too
  std::optional<double> samples_per_second;  // most, over all devices; none: unknown
  bool operator==(const Shape&) const = default;
};

// What a step makes of a shape, for `penstock check`.
struct StepPlan {
  Shape out;
  std::uint64_t memory_bytes_max = 0;  // of state and waiting samples; an upper bound
  std::vector<std::string> problems;   // a field that cannot be there, a unit that does not fit: the file is refused
};

// --- sources ---------------------------------------------------------------------------------------------------------

// Hands samples to every pipeline that reads the source. Any thread.
class Emit {
 public:
  // Called once: with true when the samples are safe, with false when a queue behind the source was full or the disk
  // could not take them: the source says in its own documentation what it does then (and counts it).
  using Stored = std::function<void(bool)>;
  using Take = std::function<bool(std::vector<Sample>)>;
  using Store = std::function<void(std::vector<Sample>, Stored)>;

  Emit() = default;
  // Without `store` samples are as safe as they get once they were taken.
  Emit(Take take, Store store = {}) : take_(std::move(take)), store_(std::move(store)) {}

  // Puts them into the pipelines' queues; false when one was full and the samples were not taken by all.
  bool operator()(std::vector<Sample> samples) const { return take_(std::move(samples)); }
  // The same for a source that owes its peer an answer: with a journal (Source::durable()) `stored` is called once they
  // are on disk, on the journal's thread; else at once.
  void store(std::vector<Sample> samples, Stored stored) const {
    if (store_) return store_(std::move(samples), std::move(stored));
    stored(take_(std::move(samples)));
  }
  explicit operator bool() const { return static_cast<bool>(take_); }

 private:
  Take take_;
  Store store_;
};

// For the status page and readiness.
struct Status {
  bool connected = false;
  std::string detail;          // the last error or what it is connected to; never a secret
  std::uint64_t messages = 0;  // taken in or delivered
  std::uint64_t dropped = 0;   // refused, malformed or lost to a full queue
  std::string link = {};       // of a sink with several ways to its peer: the one in use
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
  // What its samples look like. Any thread.
  virtual Shape shape() const { return {}; }
  // True: what its peer is told to be taken must be on disk (an MQTT subscription above QoS 0, for one). The lane then
  // keeps a journal for it behind Emit::store(), and reads it again after a crash.
  virtual bool durable() const { return false; }
  // Bytes pushed in from outside (POST /ingest/{source}); sources that only pull refuse. On the loop; `done` exactly
  // once, on any thread, with the number of samples taken.
  using Accepted = std::function<void(Result<std::size_t>)>;
  virtual void accept(std::string content_type, std::string body, Accepted done) {
    (void)content_type, (void)body;
    done(fail(Errc::unimplemented, "this source takes no pushed data; use a source of kind `http`"));
  }
  // Sets a point and reads it back; on the loop, `done` exactly once, on the loop.
  virtual void write(PointWrite write, std::function<void(Result<Value>)> done) {
    done(
        fail(Errc::permission_denied,
             "source '" + write.source + "' has nothing to write to: only sources of devices with writable points do"));
  }
  // What a point holds now; on the loop, `done` exactly once, on the loop.
  virtual void read(PointRead read, std::function<void(Result<Value>)> done) {
    done(fail(Errc::unimplemented, "source '" + read.source + "' cannot be asked for a single point"));
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

// One stage of a pipeline. All calls are on the pipeline's loop, one at a time, but for plan().
//
// A sample carries its receipt (sample.h): a step that makes new samples out of others gives them the receipts of all
// it took (joined()), and one that keeps samples keeps their receipts with them. It also carries its name: of what a
// step emits for one sample at most one has that, the others forget it, or say whose they are (origin.h).
class Step {
 public:
  virtual ~Step() = default;
  virtual void push(Sample sample, Output& out) = 0;
  // Time passed without samples: called about every 100 ms with the wall time up to which every sample that arrived has
  // been through (in `penstock test` with event time). Silence is counted with TickTime (time_buffer.h).
  virtual void tick(base::WallMicros now, Output& out) { (void)now, (void)out; }
  // The input ended (a test's feed, a drain): emit what is still held.
  virtual void flush(Output& out) { (void)out; }
  // True while samples wait for an answer from elsewhere (a model); `penstock test` waits for it.
  virtual bool busy() const { return false; }
  // A reload put this step in the place of `before`, of the same kind: takes over what `before` holds, as far as it
  // still fits. What is taken is gone from `before`; what is left there is flushed.
  virtual void adopt(Step& before) { (void)before; }
  // What comes out for what comes in, at most how much memory. Before the pipeline runs.
  virtual StepPlan plan(const Shape& in) const { return {.out = in, .memory_bytes_max = 0, .problems = {}}; }
};

// A sample that a step or sink could not work on, kept for people (GET /admin/v1/pipelines/{name}/dead_letters).
struct DeadLetter {
  std::string where;  // "step 3 (infer)" or "sink 1 (http)"
  std::string why;
  Sample sample;
};

// Steps in a row inside another step (branch).
class Chain {
 public:
  virtual ~Chain() = default;
  virtual void push(Sample sample) = 0;
  virtual void tick(base::WallMicros now) = 0;
  virtual void flush() = 0;
  virtual bool busy() const = 0;
  virtual void adopt(Chain& before) = 0;
  virtual StepPlan plan(const Shape& in) const = 0;
};

struct StepContext {
  const Context* shared = nullptr;
  std::string pipeline;
  std::string place;                                       // "3", in a branch "3.1.2": where in the pipeline
  rt::Loop* loop = nullptr;                                // null in `penstock check`
  std::function<void(const AlarmChange&)> alarm_changed;   // told of every raise and clear
  std::function<void(std::string_view what)> failed = {};  // one sample could not be worked on; counted, last one shown
  std::function<void(std::uint64_t samples)> dropped = {};  // samples given up by rule: late, over a limit; counted
  std::function<void(DeadLetter letter)> dead = {};         // a sample that failed, for the dead-letter store
  std::shared_ptr<AlarmTable> alarms = {};                  // of the pipeline, as far as it is built
  // What is raised on the board under that name: a new step goes on with it. On the loop.
  std::function<std::vector<AlarmChange>(const std::string& alarm)> raised = {};
  // Builds the steps of a list, or null after a reported mistake. What leaves them goes to `out`, which outlives them.
  std::function<std::unique_ptr<Chain>(const config::Node& steps, std::string place, Output& out)> chain = {};

  void tell(const AlarmChange& change) const {
    if (alarm_changed) alarm_changed(change);
  }
  void error(std::string_view what) const {
    if (failed) failed(what);
  }
  // The sample failed: counted, shown, and kept in the dead-letter store.
  void error(std::string_view what, Sample sample) const {
    error(what);
    if (dead) dead({.where = "step " + place, .why = std::string(what), .sample = std::move(sample)});
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

// Samples on their way to a sink, oldest first. Shared, because a sink may still hold them when the outlet has given
// up.
using Batch = std::shared_ptr<const std::vector<Sample>>;

// What became of a batch.
struct Sent {
  enum class Outcome : std::uint8_t {
    confirmed,  // the peer has all of it
    again,      // the peer could not be reached or asked to wait: the whole batch is sent again later
    refused,    // the peer will never take any of it: counted and put into the dead-letter store
  };
  Outcome outcome = Outcome::confirmed;
  std::string why = {};                    // unless confirmed; for people, never a secret
  std::vector<std::size_t> rejected = {};  // with `confirmed`: positions the peer refused for good
  // With `confirmed`, from a sink that has one batch under way: only so many from the front are dealt with, and the
  // others are sent next, at once. 0 where the sink has learnt to send fewer.
  std::optional<std::size_t> taken = std::nullopt;
};

// Carries batches to a peer. Queues, retries, back-off, durability and order are the outlet's (outlet.h): a sink holds
// nothing that it was not handed and has not answered for.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> start(rt::Loop& loop) = 0;
  // Samples it likes in one batch, at most; at least 1. Batches are as large as what waits: a lone sample goes at once.
  virtual std::size_t batch_max() const { return 256; }
  // Batches it can have under way at once. More than 1 only where the peer takes them in order and a failure of one
  // fails those behind it.
  virtual std::size_t in_flight_max() const { return 1; }
  // Samples below this wait (the way to the peer costs money now). On the loop, asked before every batch.
  virtual Priority least() const { return Priority::bulk; }
  // True: every batch is taken during send(), whatever happens elsewhere; samples never wait for this sink. Any thread.
  virtual bool always_takes() const { return false; }
  // `told` may be called, on the loop, when it is worth sending again at once: the peer is back. Before start().
  virtual void on_ready(std::function<void()> told) { (void)told; }
  // On the loop. Never blocks. `done` is called exactly once, on the loop, during the call or later.
  virtual void send(Batch batch, std::function<void(Sent)> done) = 0;
  // On the loop. Answers nothing any more.
  virtual void stop() = 0;
  virtual Status status() const = 0;
};

struct SinkFactory {
  // `kind` is the node under the sink's key, `map` the same as a map whose shared keys (buffer) are already known. The
  // caller calls map.done(). Null after a reported mistake.
  std::function<std::unique_ptr<Sink>(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                      const Context& context)>
      make;
};

}  // namespace penstock::ingest
