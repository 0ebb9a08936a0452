// The thread that shares this gateway's meters, and what is stored beside them, with the other gateways. Nobody who
// serves a request waits for it: it tells what was used, hears what all used, and between two exchanges the Book gives
// out no more than a slice of each limit.
//
// When the store is lost the Book gives out this gateway's part of what was left, and an exchange whose answer was lost
// is repeated as it was until it is answered: nothing counts twice, nothing is forgotten. A store that came back
// without its data counts as lost until the others, too, have had the time to put back what they know.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/backoff.h"
#include "quota/record_mirror.h"
#include "quota/share.h"

namespace penstock::quota {

struct ShareStatus {
  bool on = false;
  bool connected = false;
  int gateways = 1;  // alive as last heard; while the store is lost, what is left is divided by it
  std::uint64_t exchanges = 0;
  std::uint64_t failures = 0;
  std::string place;
  std::string why;  // the last failure, while not connected
};

// What a Sharer works on and whom it tells. All are called on its thread, or on the one that calls apply() or stop().
struct SharerPorts {
  std::function<std::vector<SharedUse>(const Now&)> uses;                // Book::shared_uses
  std::function<void(const std::vector<SharedSum>&, const Now&)> apply;  // Book::apply
  std::function<void(const SharingState&, const Now&)> set;  // Book::set_sharing; lost said again: the data is, too
  std::function<void(base::Duration)> exchanged = [](base::Duration) {};       // an exchange took so long
  std::function<void(const Error&, int gateways)> lost = [](auto&&...) {};     // also when there was no store so far
  std::function<void(base::Duration away)> connected = [](base::Duration) {};  // for the first time, or again
  std::function<void(const Error&)> trouble = [](const Error&) {};  // keys are not shared, or not now; limits are
  RecordKeeper* records = nullptr;                                  // null: there are none
};

class Sharer {
 public:
  Sharer(SharerPorts ports, const base::Clock& clock);
  ~Sharer();

  // What `shared:` says now; nothing: no sharing any more. Until start() by one thread, then by any.
  void configure(std::optional<ShareConfig> config);
  void start();
  // Tells what was not told yet, says goodbye and ends the thread. Waits for the store's timeouts at most.
  void stop();
  // Exchange soon: a slice is nearly used up. Any thread, never waits for the store.
  void wake();
  ShareStatus status() const;

  // One exchange and what follows from it; how long to wait until the next one. The thread's; tests call it instead of
  // start().
  base::Duration step();

 private:
  struct Change {
    std::optional<ShareConfig> config;
  };
  Now now() const { return {clock_.steady(), clock_.wall()}; }
  void run();
  void take_change();
  Result<ShareAnswer> exchange();
  base::Duration failed(const Error& error);
  void answered(ShareAnswer answer);
  void data_lost();
  // True when there is more to be done.
  bool mirror(const ShareAnswer& heard);
  void set_state(bool connected, int gateways);
  void say_goodbye();

  const SharerPorts ports_;
  const base::Clock& clock_;

  // --- the thread's ---
  std::optional<ShareConfig> config_;
  std::unique_ptr<Share> share_;
  ShareBatch batch_;
  bool unanswered_ = false;  // the batch, told or about to be
  bool tried_again_ = false;
  bool said_lost_ = false;
  int gateways_ = 1;             // as last heard
  bool heard_ = false;           // an answer of this store
  bool answers_ = false;         // the store did, the last time
  base::SteadyTime whole_at_{};  // until then others may know more than the store
  SharingState state_;
  base::SteadyTime lost_at_;
  base::Backoff backoff_;
  RecordMirror mirror_;
  base::SteadyTime mirror_after_{};
  bool said_refused_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Change> change_;
  bool woken_ = false;
  bool stopping_ = false;
  ShareStatus status_;
  std::thread thread_;
};

}  // namespace penstock::quota
