// Samples that a step or sink could not work on, kept for people.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ingest/contracts.h"

namespace penstock::ingest {

struct KeptLetter {
  std::uint64_t id = 0;  // grows by one in each pipeline
  base::WallMicros at = 0;
  std::string where;  // "step 3 (infer)" or "sink 1 (http)"
  std::string why;
  std::string sample;  // as JSON (sample_json.h)
};

// Those of one pipeline. Any thread. With a file the newest survive a restart: lines of JSON, written by the store's
// thread. A sample's receipt is held until its letter is on disk, or has made room for newer ones.
class DeadLetters {
 public:
  static constexpr std::size_t kMost = 1000;  // the newest stay
  static constexpr std::size_t kBytesMax = 4U << 20;
  // More in one second are only counted.
  static constexpr std::uint64_t kPerSecondMax = 1000;

  // `file` may be empty. `dirty` is called when something is to be written.
  DeadLetters(std::string file, const base::Clock& clock, std::function<void()> dirty);

  void add(DeadLetter letter);
  std::vector<KeptLetter> newest(std::size_t limit) const;  // newest first
  // Takes those with one of these ids out; without ids all.
  std::vector<KeptLetter> take(const std::set<std::uint64_t>& ids);
  // Puts back what take() gave, in its old places.
  void put_back(std::vector<KeptLetter> letters);

  std::size_t size() const;
  std::uint64_t total() const;  // since the start, with those that were only counted
  std::string trouble() const;  // why the file could not be written; empty when it could

  // Blocks; by one thread at a time. False: could not be written, and is to be tried again.
  bool write();

 private:
  struct Work {
    bool rewrite = false;
    std::string text;
    std::uint64_t last_id = 0;  // of the letters in it and before it
  };

  void load();
  void trim();
  Work take_work();
  Result<void> store(const Work& work);
  Result<void> sync_name() const;

  const std::string file_;
  const base::Clock& clock_;
  const std::function<void()> dirty_;
  mutable std::mutex mutex_;  // guards what follows
  std::deque<KeptLetter> letters_;
  std::size_t bytes_ = 0;
  std::uint64_t next_id_ = 1;
  std::uint64_t total_ = 0;
  std::uint64_t second_ = 0;
  std::uint64_t in_second_ = 0;
  bool rewrite_ = false;
  std::string unwritten_;
  std::map<std::uint64_t, ReceiptPtr> receipts_;  // by id, of letters that are not on disk yet
  std::uint64_t file_bytes_ = 0;
  std::string trouble_;
};

// All pipelines' dead letters under one folder, and the thread that writes them. Any thread.
class DeadLetterStore {
 public:
  // `folder` may be empty: then they are only remembered.
  DeadLetterStore(std::string folder, const base::Clock& clock);
  // Writes what waits.
  ~DeadLetterStore();
  std::shared_ptr<DeadLetters> of(const std::string& pipeline);

 private:
  void run();

  const std::string folder_;
  const base::Clock& clock_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable wake_;
  std::map<std::string, std::shared_ptr<DeadLetters>> all_;
  bool dirty_ = false;
  bool stopping_ = false;
  std::thread thread_;  // begun with the first letter
};

}  // namespace penstock::ingest
