// What a durable source has taken in, on the disk until every pipeline behind it is done with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ingest/buffer_store.h"
#include "ingest/contracts.h"
#include "ingest/pipeline.h"

namespace penstock::ingest {

class JournalReader;

struct JournalTarget {
  std::shared_ptr<Pipeline> pipeline;
  rt::Loop* loop = nullptr;  // the pipeline's
};

// Any thread. Each pipeline reads the journal at its own pace and has a cursor of its name in it: what it is done with
// is not offered to it again, what a full pipeline refuses waits on the disk. After a crash everything that was not
// settled is offered again, under the names it had: SOURCE/IDENTITY of the journal and the number in it, unless a
// sample came with a name.
class Journal : public std::enable_shared_from_this<Journal> {
 public:
  // Samples held while the journal is being opened, at most.
  static constexpr std::size_t kHeldMax = 10'000;
  // Memory of the receipts that one pipeline has not settled. They cover more samples the more are under way, so that
  // even a disk full of them takes no more.
  static constexpr std::uint64_t kReceiptBytesMax = 512UL << 10U;

  Journal(const std::string& source, BufferOptions options, BufferStore& store);

  // Who reads from now on. A pipeline that takes the place of one of its name goes on where that one was. The first
  // call opens the journal.
  void set_targets(const std::vector<JournalTarget>& targets);
  // A reload wrote it differently: opened anew, with all that is under way. Samples are held meanwhile.
  void change(BufferOptions options);
  // `stored` is called with true once the samples are on the disk, on the journal's thread; with false when the disk
  // does not take them.
  void append(std::vector<Sample> samples, Emit::Stored stored);
  // Nothing is offered any more, and what settles from now on is not noted.
  void close();

 private:
  friend class JournalReader;
  struct Held {
    std::vector<Sample> samples;
    Emit::Stored stored;
  };

  void open();
  void opened(Result<std::shared_ptr<spool::Spool>> spool);
  void write(const std::shared_ptr<spool::Spool>& spool, Held held);
  void stored(std::uint64_t first, const std::vector<Sample>& samples);
  // A reader is done with everything up to `cursor`.
  void moved(const std::string& reader, std::uint64_t cursor);
  void release_done();
  void release_to(std::uint64_t cursor);

  const std::string name_;  // journals/press
  BufferStore& store_;
  // Guards what follows. Where the system gives no thread, acquire() answers within the call.
  std::recursive_mutex mutex_;
  BufferOptions options_;
  bool opening_ = false;
  bool outdated_ = false;  // options_ changed while it was opened
  bool closed_ = false;
  bool failed_ = false;  // could not be opened: what comes is refused, and it is tried again
  std::shared_ptr<spool::Spool> spool_;
  std::vector<std::string> cursors_;  // those it was opened with
  std::vector<Held> held_;
  std::size_t held_samples_ = 0;
  std::map<std::string, std::shared_ptr<JournalReader>> readers_;
  std::map<std::string, std::uint64_t> done_to_;  // by reader
};

}  // namespace penstock::ingest
