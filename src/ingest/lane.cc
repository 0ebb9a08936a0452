#include "ingest/lane.h"

#include "ingest/journal.h"
#include "ingest/speaker.h"

namespace penstock::ingest {

struct Lane::RunningSource {
  using Readers = std::vector<std::shared_ptr<Pipeline>>;

  std::string name;
  std::string kind;
  std::string written;
  rt::Loop* loop = nullptr;
  const base::Clock* clock = nullptr;
  DevicePort* devices = nullptr;
  std::unique_ptr<Source> source;
  // Of a durable source, or of one that was until a reload: then what is in it is worked off.
  std::shared_ptr<Journal> journal;
  std::atomic<std::uint64_t> samples{0};
  std::mutex mutex;  // guards the two below
  std::string start_error;
  std::shared_ptr<const Readers> readers = std::make_shared<Readers>();

  void complete(std::vector<Sample>& batch);
  bool emit(std::vector<Sample> batch);
  void store(std::vector<Sample> batch, Emit::Stored stored);
};

struct Lane::RunningPipeline {
  std::string written;
  std::vector<std::string> from;
  std::shared_ptr<Pipeline> pipeline;
};

// Fills in what the source left open, and leaves out the samples of devices that may not speak.
void Lane::RunningSource::complete(std::vector<Sample>& batch) {
  base::WallMicros now = 0;
  for (Sample& sample : batch) {
    if (sample.device.empty()) sample.device = name;
    if (sample.ingest_time != 0 && sample.event_time != 0) continue;
    if (now == 0) now = clock->wall();
    if (sample.ingest_time == 0) sample.ingest_time = now;
    if (sample.event_time == 0) sample.event_time = sample.ingest_time;
  }
  if (devices != nullptr) std::erase_if(batch, [&](const Sample& one) { return !devices->admit(name, one.device); });
  samples.fetch_add(batch.size(), std::memory_order_relaxed);
}

// Any thread. Hands a copy to every pipeline and the original to the last.
bool Lane::RunningSource::emit(std::vector<Sample> batch) {
  complete(batch);
  if (batch.empty()) return true;
  std::shared_ptr<const Readers> to;
  {
    std::lock_guard lock(mutex);
    to = readers;
  }
  bool all = true;
  for (std::size_t i = 0; i < to->size(); ++i) {
    bool last = i + 1 == to->size();
    all = (*to)[i]->offer(last ? std::move(batch) : batch) && all;
  }
  return all;
}

// Any thread.
void Lane::RunningSource::store(std::vector<Sample> batch, Emit::Stored stored) {
  complete(batch);
  if (batch.empty()) return stored(true);
  journal->append(std::move(batch), std::move(stored));
}

namespace {

std::string dead_letter_folder(const std::string& data_dir) {
  return data_dir.empty() ? std::string() : data_dir + "/dead_letters";
}

}  // namespace

Lane::Lane(LaneOptions options)
    : options_(std::move(options)),
      board_(options_.on_alarm),
      buffers_(options_.context.data_dir, *options_.context.clock, options_.on_buffer),
      dead_letters_(dead_letter_folder(options_.context.data_dir), *options_.context.clock) {
  options_.context.writes = this;
  board_.attach(options_.context.state, options_.context.notify, options_.context.clock);
}
Lane::~Lane() = default;

// The same name is always on the same loop, so that stopping the old one and starting the new one keep their order.
rt::Loop* Lane::loop_for(const std::string& name) const {
  return options_.loops[std::hash<std::string>{}(name) % options_.loops.size()];
}

Plan Lane::plan(config::Map& root) {
  return read_plan(root, options_.context, [this](const std::string& name) {
    PipelineParts parts;
    parts.context = options_.context;
    parts.loop = loop_for(name);
    parts.board = &board_;
    parts.dead_letters = dead_letters_.of(name);
    parts.buffers = &buffers_;
    std::lock_guard lock(mutex_);
    parts.hub = hubs_[name].events;
    parts.taps = hubs_[name].taps;
    return parts;
  });
}

void Lane::apply(Plan plan) {
  if (!running_.exchange(true)) {
    for (const std::string& problem : board_.restore()) options_.on_problem(problem);
  }
  replace_pipelines(std::move(plan.pipelines));
  connect_pipelines();
  declare_alarms();
  connect();
  replace_sources(std::move(plan.sources));
}

// What a pipeline raised while it worked off its queue is cleared with the rest, unless its successor has that alarm.
void Lane::stop_pipeline(const RunningPipeline& running, std::function<void()> done) {
  running.pipeline->stop(std::move(done));
}

// Alarms that the configuration still has stay as they are, over reloads and restarts.
void Lane::declare_alarms() {
  base::WallMicros now = options_.context.clock->wall();
  std::set<std::string> names;
  for (const auto& pipeline : pipelines()) {
    names.insert(pipeline->name());
    board_.declare(pipeline->name(), pipeline->alarms(), now);
  }
  if (running_.load()) board_.clear_others(names, now, "the pipeline was removed");
}

void Lane::replace_pipelines(std::vector<PlannedPipeline> planned) {
  std::vector<std::shared_ptr<RunningPipeline>> before;
  {
    std::lock_guard lock(mutex_);
    before = pipelines_;
  }
  std::vector<std::shared_ptr<RunningPipeline>> after;
  for (PlannedPipeline& plan : planned) {
    auto same = std::find_if(before.begin(), before.end(), [&](const auto& running) {
      return running->pipeline->name() == plan.name && running->written == plan.written;
    });
    if (same != before.end()) {
      after.push_back(*same);
      continue;
    }
    auto old = std::find_if(before.begin(), before.end(),
                            [&](const auto& running) { return running->pipeline->name() == plan.name; });
    plan.pipeline->start(old == before.end() ? nullptr : (*old)->pipeline);
    after.push_back(std::make_shared<RunningPipeline>(
        RunningPipeline{std::move(plan.written), std::move(plan.from), std::move(plan.pipeline)}));
  }
  for (const auto& running : before) {
    bool stays = std::any_of(after.begin(), after.end(),
                             [&](const auto& now) { return now->pipeline->name() == running->pipeline->name(); });
    if (!stays) stop_pipeline(*running, [this] { declare_alarms(); });
  }
  std::lock_guard lock(mutex_);
  pipelines_ = std::move(after);
  std::erase_if(hubs_, [&](const auto& hub) {
    return std::none_of(pipelines_.begin(), pipelines_.end(),
                        [&](const auto& running) { return running->pipeline->name() == hub.first; });
  });
}

// Tells every running source who reads it now.
void Lane::connect() {
  std::lock_guard lock(mutex_);
  for (const auto& source : sources_) {
    auto readers = std::make_shared<RunningSource::Readers>();
    std::vector<JournalTarget> targets;
    for (const auto& running : pipelines_) {
      bool reads = std::find(running->from.begin(), running->from.end(), source->name) != running->from.end();
      if (!reads) continue;
      readers->push_back(running->pipeline);
      targets.push_back({running->pipeline, loop_for(running->pipeline->name())});
    }
    if (source->journal) source->journal->set_targets(targets);
    std::lock_guard source_lock(source->mutex);
    source->readers = std::move(readers);
  }
}

// The same for pipelines that read pipelines.
void Lane::connect_pipelines() {
  std::vector<std::shared_ptr<RunningPipeline>> all;
  {
    std::lock_guard lock(mutex_);
    all = pipelines_;
  }
  for (const auto& running : all) {
    std::vector<std::shared_ptr<Pipeline>> readers;
    for (const auto& other : all) {
      bool reads = std::find(other->from.begin(), other->from.end(), running->pipeline->name()) != other->from.end();
      if (reads) readers.push_back(other->pipeline);
    }
    running->pipeline->set_readers(std::move(readers));
  }
}

void Lane::replace_sources(std::vector<PlannedSource> planned) {
  std::vector<std::shared_ptr<RunningSource>> before;
  {
    std::lock_guard lock(mutex_);
    before = sources_;
  }
  std::vector<std::shared_ptr<RunningSource>> after;
  std::vector<std::shared_ptr<RunningSource>> fresh;
  for (PlannedSource& plan : planned) {
    auto same = std::find_if(before.begin(), before.end(), [&](const auto& running) {
      return running->name == plan.name && running->written == plan.written;
    });
    if (same != before.end()) {
      after.push_back(*same);
      continue;
    }
    auto running = std::make_shared<RunningSource>();
    running->name = plan.name;
    running->kind = plan.kind;
    running->written = std::move(plan.written);
    running->loop = loop_for(plan.name);
    running->clock = options_.context.clock;
    running->devices = options_.context.devices;
    running->source = std::move(plan.source);
    auto old = std::find_if(before.begin(), before.end(), [&](const auto& one) { return one->name == plan.name; });
    const bool durable = running->source->durable() && !options_.context.data_dir.empty();
    // Samples of the old source are under way: another journal would offer them once more.
    if (old != before.end()) running->journal = (*old)->journal;
    if (durable && running->journal) {
      running->journal->change(plan.journal);
    } else if (durable) {
      running->journal = std::make_shared<Journal>(plan.name, plan.journal, buffers_);
    }
    after.push_back(running);
    fresh.push_back(std::move(running));
  }
  for (const auto& running : before) {
    if (std::find(after.begin(), after.end(), running) != after.end()) continue;
    const bool gone =
        std::none_of(after.begin(), after.end(), [&](const auto& now) { return now->name == running->name; });
    running->loop->post([running, gone] {
      running->source->stop();
      if (gone && running->journal) running->journal->close();
    });
  }
  {
    std::lock_guard lock(mutex_);
    sources_ = std::move(after);
  }
  connect();
  for (const auto& running : fresh) {
    running->loop->post([running] {
      // The source is owned by `running`, so the way back must not own it.
      RunningSource* to = running.get();
      Emit::Store store;
      if (to->journal && to->source->durable()) {
        store = [to](std::vector<Sample> samples, Emit::Stored stored) {
          to->store(std::move(samples), std::move(stored));
        };
      }
      auto started = to->source->start(
          *to->loop,
          Emit([to](std::vector<Sample> samples) { return to->emit(std::move(samples)); }, std::move(store)));
      if (started) return;
      std::lock_guard lock(running->mutex);
      running->start_error = started.error().detail;
    });
  }
}

void Lane::stop(std::function<void()> done) {
  running_.store(false);
  std::vector<std::shared_ptr<RunningSource>> sources;
  std::vector<std::shared_ptr<RunningPipeline>> pipelines;
  {
    std::lock_guard lock(mutex_);
    sources.swap(sources_);
    pipelines.swap(pipelines_);
  }
  auto all_done = std::make_shared<std::function<void()>>(
      [this, sources, done = std::move(done)] { close_buffers(sources, done); });
  auto stop_all = [this, pipelines = std::move(pipelines), all_done] {
    stop_pipelines(pipelines, [all_done] { (*all_done)(); });
  };
  if (sources.empty()) return options_.loops.front()->post(std::move(stop_all));
  auto left = std::make_shared<std::atomic<std::size_t>>(sources.size());
  for (const auto& running : sources) {
    running->loop->post([running, left, stop_all] {
      running->source->stop();
      if (left->fetch_sub(1) == 1) stop_all();
    });
  }
}

// Those that read no other of them first, so that what they still hold is taken by the ones that read them.
void Lane::stop_pipelines(std::vector<std::shared_ptr<RunningPipeline>> left, std::function<void()> done) {
  const auto reads_none = [&](const std::shared_ptr<RunningPipeline>& running) {
    return std::none_of(left.begin(), left.end(), [&](const auto& other) {
      return std::find(running->from.begin(), running->from.end(), other->pipeline->name()) != running->from.end();
    });
  };
  std::vector<std::shared_ptr<RunningPipeline>> now;
  std::copy_if(left.begin(), left.end(), std::back_inserter(now), reads_none);
  std::erase_if(left, [&](const auto& running) { return std::find(now.begin(), now.end(), running) != now.end(); });
  // A pipeline that a reload took out may still be on its way to stop: behind it on every loop.
  auto waits = std::make_shared<std::atomic<std::size_t>>(now.size() + options_.loops.size());
  auto one_done = [this, waits, left = std::move(left), done = std::move(done)] {
    if (waits->fetch_sub(1) != 1) return;
    if (left.empty()) return done();
    stop_pipelines(left, done);
  };
  for (const auto& running : now) stop_pipeline(*running, one_done);
  for (rt::Loop* loop : options_.loops) loop->post(one_done);
}

// Behind the pipelines. What their sinks' buffers stored settles receipts, which move the journals' cursors on the
// loops: so first the buffers, then a turn of every loop, then the journals.
void Lane::close_buffers(const std::vector<std::shared_ptr<RunningSource>>& sources, std::function<void()> done) {
  auto last = [this, done = std::move(done)] { buffers_.settle([this, done] { options_.loops.front()->post(done); }); };
  std::vector<std::shared_ptr<Journal>> journals;
  for (const auto& running : sources) {
    if (running->journal) journals.push_back(running->journal);
  }
  buffers_.settle([this, journals = std::move(journals), last = std::move(last)] {
    auto left = std::make_shared<std::atomic<std::size_t>>(options_.loops.size());
    for (rt::Loop* loop : options_.loops) {
      loop->post([journals, last, left] {
        if (left->fetch_sub(1) != 1) return;
        for (const auto& journal : journals) journal->close();
        last();
      });
    }
  });
}

std::shared_ptr<Lane::RunningSource> Lane::find_source(const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto found = std::find_if(sources_.begin(), sources_.end(), [&](const auto& source) { return source->name == name; });
  return found == sources_.end() ? nullptr : *found;
}

void Lane::accept(const std::string& source, std::string content_type, std::string body, rt::Loop& reply,
                  std::function<void(Result<std::size_t>)> done, std::string device) {
  std::shared_ptr<RunningSource> running = find_source(source);
  auto answer = [&reply, done = std::move(done)](Result<std::size_t> result) {
    reply.post([done, result = std::move(result)] { done(result); });
  };
  if (!running_.load()) {
    return answer(fail(Errc::unavailable, "sources are being started or stopped; send it again in a moment"));
  }
  if (!running) {
    return answer(
        fail(Errc::not_found, fmt::format("there is no source '{}'; see `sources:` in the configuration", source)));
  }
  running->loop->post([running, content_type = std::move(content_type), body = std::move(body), answer,
                       device = std::move(device)]() mutable {
    Speaking speaking(device);
    running->source->accept(std::move(content_type), std::move(body), [running, answer](auto taken) { answer(taken); });
  });
}

void Lane::ask(rt::Loop& loop, const std::string& source, std::function<void(Source&, Answer)> question, Answer done) {
  std::shared_ptr<RunningSource> running = find_source(source);
  auto answer = [&loop, done = std::move(done)](Result<Value> result) {
    loop.post([done, result = std::move(result)] { done(result); });
  };
  // Pipelines work on while the gateway stops, and what nobody can ask then is there again after the start.
  if (!running_.load()) return answer(fail(Errc::unavailable, "sources are being started or stopped"));
  if (!running) return answer(fail(Errc::not_found, fmt::format("there is no source '{}'", source)));
  running->loop->post([running, question = std::move(question), answer] {
    question(*running->source, [running, answer](Result<Value> result) { answer(std::move(result)); });
  });
}

void Lane::write(rt::Loop& loop, PointWrite write, std::function<void(Result<Value>)> done) {
  std::string source = write.source;
  ask(
      loop, source, [write = std::move(write)](Source& asked, Answer answer) { asked.write(write, std::move(answer)); },
      std::move(done));
}

void Lane::read(rt::Loop& loop, PointRead read, std::function<void(Result<Value>)> done) {
  std::string source = read.source;
  ask(
      loop, source, [read = std::move(read)](Source& asked, Answer answer) { asked.read(read, std::move(answer)); },
      std::move(done));
}

std::vector<SourceStatus> Lane::sources() const {
  std::vector<std::shared_ptr<RunningSource>> running;
  {
    std::lock_guard lock(mutex_);
    running = sources_;
  }
  std::vector<SourceStatus> result;
  for (const auto& source : running) {
    Status status = source->source->status();
    {
      std::lock_guard lock(source->mutex);
      if (!source->start_error.empty()) {
        status.connected = false;
        status.detail = source->start_error;
      }
    }
    result.push_back({source->name, source->kind, source->samples.load(std::memory_order_relaxed), std::move(status)});
  }
  return result;
}

std::vector<std::shared_ptr<const Pipeline>> Lane::pipelines() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Pipeline>> result;
  for (const auto& running : pipelines_) result.push_back(running->pipeline);
  return result;
}

std::shared_ptr<const Pipeline> Lane::pipeline(const std::string& name) const {
  for (auto& pipeline : pipelines()) {
    if (pipeline->name() == name) return pipeline;
  }
  return nullptr;
}

std::vector<std::string> Lane::pipeline_sources(const std::string& name) const {
  std::lock_guard lock(mutex_);
  for (const auto& running : pipelines_) {
    if (running->pipeline->name() == name) return running->from;
  }
  return {};
}

std::vector<LaneDevice> Lane::devices() const {
  std::map<std::string, LaneDevice> merged;
  for (const auto& pipeline : pipelines()) {
    for (const DeviceStatus& status : pipeline->devices()) {
      LaneDevice& device = merged[status.device];
      device.pipelines.push_back(pipeline->name());
      std::uint64_t samples = std::max(device.status.samples, status.samples);
      if (status.last_seen >= device.status.last_seen) device.status = status;
      device.status.samples = samples;
    }
  }
  std::vector<LaneDevice> result;
  for (auto& [name, device] : merged) result.push_back(std::move(device));
  return result;
}

std::shared_ptr<EventHub> Lane::events(const std::string& pipeline) const {
  std::lock_guard lock(mutex_);
  auto found = hubs_.find(pipeline);
  return found == hubs_.end() ? nullptr : found->second.events;
}

std::shared_ptr<EventHub> Lane::tap(const std::string& pipeline, const std::string& place) const {
  std::lock_guard lock(mutex_);
  auto found = hubs_.find(pipeline);
  return found == hubs_.end() ? nullptr : found->second.taps->find(place);
}

void Lane::replay_dead_letters(const std::string& pipeline, const std::set<std::uint64_t>& ids,
                               std::function<void(Replayed)> done) const {
  std::shared_ptr<Pipeline> to;
  {
    std::lock_guard lock(mutex_);
    for (const auto& running : pipelines_) {
      if (running->pipeline->name() == pipeline) to = running->pipeline;
    }
  }
  if (!to) return done({});
  std::shared_ptr<DeadLetters> store = to->dead_letters();
  std::vector<KeptLetter> letters = store->take(ids);
  const std::size_t count = letters.size();
  to->replay(std::move(letters), [store, count, done = std::move(done)](std::vector<KeptLetter> left) {
    Replayed replayed{count - left.size(), left.size()};
    store->put_back(std::move(left));
    done(replayed);
  });
}

}  // namespace penstock::ingest
