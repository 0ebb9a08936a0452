// Keeps what is stored at this gateway (keys, teams) and what the gateways share alike. Each gateway has all of it in
// its own store and works without the others: changes made here are put into the shared store, changes made elsewhere
// are taken from it.
#pragma once

#include <functional>

#include "quota/share.h"

namespace penstock::quota {

// This gateway's own store of them.
class RecordKeeper {
 public:
  virtual ~RecordKeeper() = default;
  // Those changed here after the state `since`, the oldest change first, at most `most`. States are this store's own; 0
  // is before everything.
  virtual Result<SharedRecords> changed(std::int64_t since, std::size_t most) = 0;
  // Keeps those that are newer than its own.
  virtual Result<void> take(std::span<const SharedRecord> records) = 0;
  // Equal at gateways that can use each other's records.
  virtual std::string fingerprint() const = 0;
};

// One thread's.
class RecordMirror {
 public:
  // `trouble`: the store is used by gateways with another fingerprint, so that no records are shared, or the keeper
  // failed, which is tried again. Each said once.
  RecordMirror(RecordKeeper* keeper, std::function<void(const Error&)> trouble)
      : keeper_(keeper), trouble_(std::move(trouble)) {}

  // After an exchange: takes and puts one batch each. True when there is more of it. Errors are the shared store's.
  Result<bool> step(Share& share, const ShareAnswer& answer);
  // With another store, or to look again who uses it.
  void restart();

 private:
  enum class Family { unknown, ours, another };
  Result<void> meet(Share& share);
  Result<bool> take(Share& share, std::int64_t revision);
  Result<bool> put(Share& share);
  bool worked(const Error* error);

  RecordKeeper* keeper_;
  std::function<void(const Error&)> trouble_;
  Family family_ = Family::unknown;
  bool keeper_failed_ = false;  // and that was said
  std::int64_t taken_ = 0;      // of the shared store's revisions
  std::int64_t put_ = 0;        // of the keeper's states
};

}  // namespace penstock::quota
