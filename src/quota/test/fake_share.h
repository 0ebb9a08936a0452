// A store in memory that several gateways can share, and that can be made to fail in every way that matters.
#pragma once

#include <map>

#include "quota/share.h"

namespace penstock::quota {

// What stands in the store: shared by the FakeShares of all gateways.
struct FakeStore {
  std::map<std::string, std::int64_t> sums;
  std::map<std::string, std::uint64_t> last_number;
  std::map<std::string, SharedRecord> records;
  std::map<std::string, std::int64_t> revisions;
  std::map<std::string, std::string> firsts;
  std::int64_t revision = 0;
  int life = 1;
  int gateways = 1;

  void lose_everything() {
    sums.clear();
    last_number.clear();
    records.clear();
    revisions.clear();
    firsts.clear();
    revision = 0;
    ++life;
  }
};

class FakeShare : public Share {
 public:
  FakeShare(FakeStore& store, std::string gateway) : store_(store), gateway_(std::move(gateway)) {}

  // The next so many calls fail: before the store heard of them, or after it counted them.
  int fail_before = 0;
  int fail_after = 0;
  bool refuse_records = false;
  Error error{Errc::unavailable, "it closed the connection"};
  int calls = 0;
  bool left = false;

  Result<ShareAnswer> exchange(const ShareBatch& batch) override {
    ++calls;
    if (fail_before > 0 && fail_before-- > 0) return std::unexpected(error);
    ShareAnswer answer;
    answer.fresh = store_.life != life_;
    const bool counts = batch.number > store_.last_number[gateway_];
    for (const SharedUse& use : batch.uses) {
      std::int64_t& sum = store_.sums[use.meter];
      sum = std::max(sum, use.known);
      if (counts) sum += use.used;
      answer.sums.push_back({use.meter, use.used, sum});
    }
    store_.last_number[gateway_] = std::max(batch.number, store_.last_number[gateway_]);
    if (fail_after > 0 && fail_after-- > 0) return std::unexpected(error);
    life_ = store_.life;
    answer.gateways = store_.gateways;
    answer.revision = store_.revision;
    return answer;
  }

  Result<void> put(std::span<const SharedRecord> records) override {
    for (const SharedRecord& record : records) {
      auto found = store_.records.find(record.id);
      const auto rank = [](const SharedRecord& one) { return std::pair(one.final, one.changed); };
      if (found != store_.records.end() && rank(found->second) >= rank(record)) continue;
      store_.records[record.id] = record;
      store_.revisions[record.id] = ++store_.revision;
    }
    return {};
  }

  Result<SharedRecords> changes(std::int64_t since, std::size_t most) override {
    std::map<std::int64_t, SharedRecord> ordered;
    for (const auto& [id, revision] : store_.revisions) {
      if (revision > since) ordered[revision] = store_.records[id];
    }
    SharedRecords found{{}, since};
    for (const auto& [revision, record] : ordered) {
      if (found.records.size() == most) break;
      found.records.push_back(record);
      found.revision = revision;
    }
    return found;
  }

  Result<std::string> first(std::string_view name, std::string_view mine) override {
    if (refuse_records) return fail(Errc::permission_denied, "no permission");
    return store_.firsts.try_emplace(std::string(name), mine).first->second;
  }
  void leave() override { left = true; }

 private:
  FakeStore& store_;
  std::string gateway_;
  int life_ = 0;
};

}  // namespace penstock::quota
