// The journal of models over <data_dir>/models.db: a thread of its own writes, so that no request waits for the disk.
// The thread and the file come with the first event; a gateway without local models has neither.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "infer/journal.h"
#include "rt/pool.h"
#include "store/model_history.h"

namespace penstock::app {

// Any thread.
class ModelJournal : public infer::Journal {
 public:
  explicit ModelJournal(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  // Also says it in the log.
  Result<void> append(const infer::ModelEvent& event) override;
  Result<std::vector<infer::ModelEvent>> last(const std::string& model, std::size_t limit) const override;
  // What cannot be written is tried again with what follows.
  Result<void> keep(const std::string& model, const infer::KeptState& state) override;
  Result<infer::KeptState> kept(const std::string& model) const override;
  Result<void> flush() override;

 private:
  Result<void> submit(rt::Pool::Work work);
  Result<store::ModelHistory*> history() const;  // under the mutex
  void write_states();                           // under the mutex
  void note(const Result<void>& written);        // under the mutex
  Result<void> wait() const;

  const std::string data_dir_;
  mutable std::mutex mutex_;  // guards what follows; held while the disk is waited for
  mutable std::optional<store::ModelHistory> history_;
  std::map<std::string, infer::KeptState> unwritten_;
  std::optional<Error> failure_;  // since the last flush
  mutable std::mutex pool_mutex_;
  mutable std::optional<rt::Pool> pool_;  // ends first: it writes what is queued
};

}  // namespace penstock::app
