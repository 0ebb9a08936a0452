// The buffers and journals of a data folder: who has which, and what is in them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ingest/buffer_config.h"
#include "rt/pool.h"

namespace penstock::ingest {

struct BufferStatus {
  std::string name;     // buffers/press-guard.http, journals/press
  bool in_use = false;  // false: kept from a sink or source that is no longer configured
  std::string trouble;  // why it cannot be opened
  spool::Stats stats;   // of one that is open; else its bytes alone
};

// Any thread. Opening and closing block, and happen on a thread of its own; two that want the same one get it one after
// the other, so that a reload hands a buffer over with everything in it.
class BufferStore {
 public:
  using Opened = std::function<void(Result<std::shared_ptr<spool::Spool>>)>;
  // `report` hears of damage and of what is left over, in words for people.
  BufferStore(std::string data_dir, const base::Clock& clock,
              std::function<void(const std::string& name, const std::string& what)> report);
  ~BufferStore();

  // `name` as in BufferStatus. `done` is called once, on the store's thread.
  void acquire(std::string name, const BufferOptions& options, std::vector<std::string> cursors, Opened done);
  // By whoever has it. Writes what waits and closes.
  void release(const std::string& name);
  // By whoever heard that it cannot be opened and will not ask again: from then on it is left over.
  void give_up(const std::string& name);
  // Calls `done` behind all that was asked before, on the store's thread; at once when nothing ever was.
  void settle(std::function<void()> done);

  std::vector<BufferStatus> status() const;
  // Deletes one that nobody has, with all that was not delivered. Errors: not_found, failed_precondition (in use, also
  // by another process, or wanted by a sink or source that cannot open it), unavailable.
  Result<void> remove(const std::string& name);

 private:
  struct Wish {
    spool::Options options;
    Opened done;
  };
  struct Place {
    bool taken = false;
    std::shared_ptr<spool::Spool> spool;
    std::string trouble;
    std::vector<Wish> waiting;
  };

  void work(std::function<void()> what);
  void open(const std::string& name, Wish wish);
  void close(const std::string& name);
  void next(const std::string& name);
  std::vector<std::string> on_disk() const;
  std::uint64_t bytes_of(const std::string& name) const;

  const std::string data_dir_;
  const base::Clock& clock_;
  const std::function<void(const std::string&, const std::string&)> report_;
  mutable std::mutex mutex_;  // guards the two below
  std::map<std::string, Place> places_;
  std::unique_ptr<rt::Pool> pool_;  // ends first
};

}  // namespace penstock::ingest
