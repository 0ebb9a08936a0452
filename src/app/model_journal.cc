#include "app/model_journal.h"

#include <unistd.h>

#include <future>

#include "obs/log.h"

namespace penstock::app {
namespace {

// Changes are made by people, by loads and by one decision of a canary: this many never wait.
constexpr std::size_t kQueueMax = 4096;

store::ModelEventRow row_of(const infer::ModelEvent& event) {
  return {event.at, event.model, event.action, event.from, event.to, event.by.actor, event.by.why};
}

infer::ModelEvent event_of(const store::ModelEventRow& row) {
  return {row.at, row.model, row.action, row.from, row.to, {.actor = row.actor, .why = row.why}};
}

std::string version_text(std::int64_t version) { return version == 0 ? std::string() : std::to_string(version); }

void log_event(const infer::ModelEvent& event) {
  bool bad = event.action == "rollback" || event.action == "fail";
  obs::log(bad ? obs::Level::warn : obs::Level::info, "model " + event.action,
           {{"model", event.model},
            {"from", version_text(event.from)},
            {"to", version_text(event.to)},
            {"by", event.by.actor},
            {"why", event.by.why}});
}

}  // namespace

Result<void> ModelJournal::submit(rt::Pool::Work work) {
  std::lock_guard lock(pool_mutex_);
  if (!pool_) pool_.emplace("model-journal", 1, kQueueMax);
  return pool_->submit(std::move(work));
}

Result<store::ModelHistory*> ModelJournal::history() const {
  if (!history_) {
    auto opened = store::ModelHistory::open(data_dir_);
    if (!opened) return std::unexpected(opened.error());
    history_.emplace(std::move(*opened));
  }
  return &*history_;
}

void ModelJournal::note(const Result<void>& written) {
  if (written) return;
  if (!failure_) {
    obs::log(obs::Level::error, "what happened to a model could not be written down",
             {{"why", written.error().detail}});
  }
  failure_ = written.error();
}

Result<void> ModelJournal::append(const infer::ModelEvent& event) {
  log_event(event);
  return submit([this, event] {
    std::lock_guard lock(mutex_);
    auto into = history();
    note(into ? (*into)->append(row_of(event)) : std::unexpected(into.error()));
    write_states();
  });
}

Result<void> ModelJournal::keep(const std::string& model, const infer::KeptState& state) {
  return submit([this, model, state] {
    std::lock_guard lock(mutex_);
    infer::KeptState& waiting = unwritten_[model];
    if (state.serial >= waiting.serial) waiting = state;
    write_states();
  });
}

void ModelJournal::write_states() {
  if (unwritten_.empty()) return;
  auto into = history();
  if (!into) return note(std::unexpected(into.error()));
  std::erase_if(unwritten_, [&](const auto& one) {
    const auto& [model, state] = one;
    Result<bool> written = (*into)->keep(model, {state.text, state.serial}, base::system_clock().wall());
    if (!written) {
      note(std::unexpected(written.error()));
    } else if (!*written && state.decision) {
      note(fail(Errc::failed_precondition,
                fmt::format("something else was decided about model '{}' since, by another process", model)));
    }
    return written.has_value();
  });
}

Result<std::vector<infer::ModelEvent>> ModelJournal::last(const std::string& model, std::size_t limit) const {
  if (auto done = wait(); !done) return std::unexpected(done.error());
  std::lock_guard lock(mutex_);
  if (!history_ && ::access(store::ModelHistory::file_in(data_dir_).c_str(), F_OK) != 0)
    return std::vector<infer::ModelEvent>();
  auto from = history();
  if (!from) return std::unexpected(from.error());
  auto rows = (*from)->last(model, static_cast<std::int64_t>(limit));
  if (!rows) return std::unexpected(rows.error());
  std::vector<infer::ModelEvent> events;
  for (const store::ModelEventRow& row : *rows) events.push_back(event_of(row));
  return events;
}

// Makes no file: most models never had a decision.
Result<infer::KeptState> ModelJournal::kept(const std::string& model) const {
  if (auto done = wait(); !done) return std::unexpected(done.error());
  std::lock_guard lock(mutex_);
  if (auto waiting = unwritten_.find(model); waiting != unwritten_.end()) return waiting->second;
  if (!history_ && ::access(store::ModelHistory::file_in(data_dir_).c_str(), F_OK) != 0) return infer::KeptState();
  auto from = history();
  Result<store::ModelStateRow> row = from ? (*from)->kept(model) : std::unexpected(from.error());
  if (!row) {
    obs::log(obs::Level::error, "what was decided about a model's traffic cannot be read: it begins anew",
             {{"model", model}, {"why", row.error().detail}});
    return std::unexpected(row.error());
  }
  return infer::KeptState{row->text, row->serial};
}

// For what is queued by now.
Result<void> ModelJournal::wait() const {
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> reached = done->get_future();
  {
    std::lock_guard lock(pool_mutex_);
    if (!pool_) return {};
    if (auto asked = pool_->submit([done] { done->set_value(); }); !asked) return asked;
  }
  reached.wait();
  return {};
}

Result<void> ModelJournal::flush() {
  if (auto done = wait(); !done) return done;
  std::lock_guard lock(mutex_);
  if (std::optional<Error> failure = std::exchange(failure_, std::nullopt)) return std::unexpected(std::move(*failure));
  return {};
}

}  // namespace penstock::app
