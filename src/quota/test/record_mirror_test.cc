#include "quota/record_mirror.h"

#include <gmock/gmock.h>

#include "quota/test/fake_share.h"

namespace penstock::quota {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A gateway's own store of records, as SQLite keeps them.
class FakeKeeper : public RecordKeeper {
 public:
  void change(const SharedRecord& record) {
    records_[record.id] = record;
    states_[record.id] = ++state_;
  }
  const SharedRecord* find(const std::string& id) const {
    auto found = records_.find(id);
    return found == records_.end() ? nullptr : &found->second;
  }
  std::size_t size() const { return records_.size(); }

  Result<SharedRecords> changed(std::int64_t since, std::size_t most) override {
    if (broken) return fail(Errc::unavailable, "the disk is full");
    std::map<std::int64_t, SharedRecord> ordered;
    for (const auto& [id, state] : states_) {
      if (state > since) ordered[state] = records_[id];
    }
    SharedRecords found{{}, since};
    for (const auto& [state, record] : ordered) {
      if (found.records.size() == most) break;
      found.records.push_back(record);
      found.revision = state;
    }
    return found;
  }
  Result<void> take(std::span<const SharedRecord> records) override {
    for (const SharedRecord& record : records) {
      const SharedRecord* mine = find(record.id);
      if (mine == nullptr || std::pair(mine->final, mine->changed) < std::pair(record.final, record.changed))
        change(record);
    }
    return {};
  }
  std::string fingerprint() const override { return family; }

  std::string family = "f";
  bool broken = false;

 private:
  std::map<std::string, SharedRecord> records_;
  std::map<std::string, std::int64_t> states_;
  std::int64_t state_ = 0;
};

struct MirroredGateway {
  MirroredGateway(FakeStore& store, std::string name)
      : share(store, std::move(name)),
        mirror(&keeper, [this](const Error& error) { refusals.push_back(error.detail); }) {}
  // Until there is nothing more to do.
  void settle() {
    for (int i = 0; i < 100; ++i) {
      auto answer = share.exchange({++number, {}});
      auto more = mirror.step(share, *answer);
      if (!more || (!*more && answer->revision == share.exchange({number, {}})->revision)) return;
    }
    FAIL() << "it never ends";
  }

  std::vector<std::string> refusals;
  FakeKeeper keeper;
  FakeShare share;
  RecordMirror mirror;
  std::uint64_t number = 0;
};

TEST(RecordMirror, WhatIsMadeHereIsKnownThere) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  a.keeper.change({"key:1", 10, false, "one"});
  a.settle();
  b.settle();
  ASSERT_NE(b.keeper.find("key:1"), nullptr);
  EXPECT_EQ(b.keeper.find("key:1")->text, "one");
}

TEST(RecordMirror, ARevocationWinsOverALaterChange) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  a.keeper.change({"key:1", 10, false, "one"});
  a.settle();
  b.settle();
  a.keeper.change({"key:1", 20, true, "revoked"});
  b.keeper.change({"key:1", 30, false, "renamed"});
  b.settle();
  a.settle();
  b.settle();
  a.settle();
  EXPECT_TRUE(a.keeper.find("key:1")->final);
  EXPECT_TRUE(b.keeper.find("key:1")->final);
}

TEST(RecordMirror, TheLaterOfTwoChangesStays) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  a.keeper.change({"team:x", 20, false, "later"});
  b.keeper.change({"team:x", 10, false, "earlier"});
  b.settle();
  a.settle();
  b.settle();
  EXPECT_EQ(a.keeper.find("team:x")->text, "later");
  EXPECT_EQ(b.keeper.find("team:x")->text, "later");
}

TEST(RecordMirror, ManyComeInBatches) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  for (int i = 0; i < 2345; ++i) a.keeper.change({"key:" + std::to_string(i), i, false, "text"});
  a.settle();
  b.settle();
  EXPECT_EQ(store.records.size(), 2345u);
  EXPECT_EQ(b.keeper.size(), 2345u);
}

TEST(RecordMirror, EverythingIsPutBackAfterTheStoreLostIt) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  a.keeper.change({"key:1", 10, false, "one"});
  a.settle();
  b.settle();
  store.lose_everything();
  b.keeper.change({"key:2", 11, false, "two"});
  b.settle();
  a.settle();
  EXPECT_EQ(store.records.size(), 2u);
  EXPECT_NE(a.keeper.find("key:2"), nullptr);
}

TEST(RecordMirror, ARevocationIsHeardAfterTheRevisionAloneWasLost) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  for (int i = 0; i < 5; ++i) a.keeper.change({"key:" + std::to_string(i), 10, false, "one"});
  a.settle();
  b.settle();
  store.revision = 0;
  store.revisions.clear();
  a.settle();
  b.settle();
  a.keeper.change({"key:1", 20, true, "revoked"});
  a.settle();
  b.settle();
  EXPECT_TRUE(b.keeper.find("key:1")->final);
}

TEST(RecordMirror, AKeeperThatFailsIsTriedAgain) {
  FakeStore store;
  MirroredGateway a(store, "a");
  a.keeper.change({"key:1", 10, false, "one"});
  a.keeper.broken = true;
  a.settle();
  a.settle();
  EXPECT_THAT(a.refusals, ElementsAre("the disk is full"));
  a.keeper.broken = false;
  a.settle();
  EXPECT_EQ(store.records.size(), 1u);
}

TEST(RecordMirror, RefusesStrangersOnce) {
  FakeStore store;
  MirroredGateway a(store, "a"), b(store, "b");
  a.keeper.change({"key:1", 10, false, "one"});
  a.settle();
  b.keeper.family = "another";
  b.settle();
  b.settle();
  EXPECT_EQ(b.keeper.find("key:1"), nullptr);
  ASSERT_EQ(b.refusals.size(), 1u);
  EXPECT_THAT(b.refusals[0], testing::HasSubstr("secret.key"));
  EXPECT_THAT(a.refusals, IsEmpty());
}

}  // namespace
}  // namespace penstock::quota
