// What waits between a pipeline and one of its sinks: in memory, or on the disk.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "ingest/buffer_config.h"
#include "ingest/contracts.h"
#include "ingest/sequence_set.h"

namespace penstock::ingest {

class BufferStore;

// For the status page and metrics.
struct QueueFigures {
  std::uint64_t waiting = 0;   // samples that are not delivered yet
  std::uint64_t dropped = 0;   // lost to a bound
  std::uint64_t replayed = 0;  // delivered out of the backlog
  std::string trouble = {};    // why nothing can be put on the disk; empty when it can
};

// On the pipeline's loop, but for full() and figures(). What was taken is confirmed or put back.
class OutletQueue {
 public:
  struct Taken {
    std::vector<Sample> samples;
    bool replayed = false;  // from the backlog
  };

  virtual ~OutletQueue() = default;
  // `ready` is told when something may be taken after nothing was.
  virtual void start(rt::Loop& loop, std::function<void()> ready) = 0;
  virtual void push(const Sample& sample) = 0;
  // At most `count` that go out together; without `backlog` only live ones.
  virtual Taken take(std::size_t count, bool backlog) = 0;
  // By their positions; those without one need none.
  virtual void confirmed(const std::vector<Run>& runs, bool replayed) = 0;
  // For one that was taken, will never be and is to be kept elsewhere: confirms it when it is.
  virtual ReceiptPtr receipt_of(const Sample& sample) { return sample.receipt; }
  // After a failure, newest batch first; then failed().
  virtual void put_back(const std::vector<Sample>& samples) = 0;
  virtual void failed() {}
  // Samples below this are not taken.
  virtual void set_least(Priority least) = 0;
  // True: the rest is safe where it is, and a sink that stops need not be given it.
  virtual bool keeps() const = 0;
  virtual bool empty() const = 0;
  // Lets go: what is not on the disk is abandoned.
  virtual void stop() = 0;

  // Any thread. True: the pipeline should take nothing more (`full: refuse`).
  bool full() const { return full_.load(std::memory_order_relaxed); }
  virtual QueueFigures figures() const = 0;

 protected:
  void set_full(bool full) { full_.store(full, std::memory_order_relaxed); }

 private:
  std::atomic<bool> full_{false};
};

// Bounded by BufferOptions::memory; `full` says what happens then. With `refuse` nothing is dropped: the pipeline stops
// working, and what a burst of it or the end of its steps brings is kept beyond the bound.
std::shared_ptr<OutletQueue> memory_queue(const BufferOptions& options);
// In the buffer `name` of the store, which outlives it.
std::shared_ptr<OutletQueue> durable_queue(std::string name, const BufferOptions& options, BufferStore& store);

}  // namespace penstock::ingest
