// The power fails at every single step of a run, and what was not synced is dropped, kept, torn, or mixed with garbage.
#include <gtest/gtest.h>

#include "spool/log.h"
#include "spool/test/faulty_storage.h"

namespace penstock::spool {
namespace {

struct Variant {
  const char* name;
  Sync sync;
  bool by_priority;
  bool compress;
  bool encrypt;
};

Options options_of(const Variant& variant) {
  Options options;
  options.folder = "var/buffers/log";
  options.cursors = {"sink"};
  options.bytes_max = 256 << 10U;
  options.segment_bytes = 2000;
  options.sync = variant.sync;
  options.by_priority = variant.by_priority;
  options.compress = variant.compress;
  if (variant.encrypt) options.key = base::Secret(std::string(kKeyBytes, 'k'));
  return options;
}

// What the callers know: what they gave, what they were told, what they acknowledged.
struct Known {
  std::set<std::string> given;                  // stored or not
  std::map<std::uint64_t, std::string> stored;  // heard yes
  std::uint64_t acknowledged = 0;
  std::set<std::uint64_t> ahead;  // acknowledged out of order
  std::uint64_t highest = 0;
};

std::string text_of(std::mt19937& random, int round) {
  std::string text = fmt::format("{}:{}:", round, random());
  std::size_t size = random() % 8 == 0 ? 900 : random() % 200;
  while (text.size() < size) text += static_cast<char>('a' + random() % (random() % 2 == 0 ? 2 : 26));
  return text;
}

void store_some(Log& log, Known& known, std::mt19937& random, int round) {
  std::vector<std::vector<Entry>> all(1 + random() % 3);
  for (auto& entries : all) {
    for (std::size_t i = 1 + random() % 3; i > 0; --i)
      entries.push_back({0, 0, static_cast<std::uint8_t>(random() % 3), text_of(random, round)});
  }
  std::vector<Batch> batches(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) batches[i].entries = &all[i];
  log.store(batches);
  known.highest = log.last();
  for (const Batch& batch : batches) {
    for (const Entry& entry : *batch.entries) {
      known.given.insert(entry.bytes);
      if (batch.first) known.stored[entry.sequence] = entry.bytes;
    }
  }
}

// Ends early when the power fails.
void run_script(FaultyStorage& storage, const Variant& variant, Known& known) {
  base::FakeClock clock;
  std::mt19937 random(7);
  for (int life = 0; life < 3; ++life) {
    auto log = Log::open(options_of(variant), storage, clock);
    if (!log) return;
    for (int round = 0; round < 9; ++round) {
      store_some(**log, known, random, round);
      clock.advance(std::chrono::milliseconds(60));
      if (round % 3 == 2 && !known.stored.empty()) {
        known.acknowledged = std::max(known.acknowledged, known.stored.rbegin()->first - 4);
        (*log)->acknowledge("sink", known.acknowledged);
        const std::uint64_t ahead = known.stored.rbegin()->first - 1;
        known.ahead.insert(ahead);
        (*log)->acknowledge_ahead("sink", {{ahead, ahead}});
        clock.advance(std::chrono::seconds(5));
      }
      (*log)->tend();
    }
    // Every other life ends without a word.
    if (life != 1) (*log)->close();
  }
}

// A crash of rolled-back writes may bring back what was answered with no; it must be what was given all the same.
void expect_whole(Log& log, const Known& known, bool synced, const std::string& where) {
  std::map<std::uint64_t, std::string> found;
  std::uint64_t after = log.cursors().at("sink");
  ASSERT_LE(after, known.acknowledged) << where;
  if (log.aheads().contains("sink")) {
    for (const Range& range : log.aheads().at("sink")) {
      ASSERT_EQ(range.first, range.last) << where;
      ASSERT_TRUE(known.ahead.contains(range.first)) << where << ": nobody dealt with " << range.first;
    }
  }
  while (true) {
    auto entries = log.read(after, 4096);
    ASSERT_TRUE(entries) << where << entries.error().detail;
    if (entries->empty()) break;
    for (const Entry& entry : *entries) {
      ASSERT_GT(entry.sequence, after) << where << ": order";
      after = entry.sequence;
      ASSERT_TRUE(known.given.contains(entry.bytes)) << where << ": nobody gave " << entry.sequence;
      auto stored = known.stored.find(entry.sequence);
      if (stored != known.stored.end()) ASSERT_EQ(entry.bytes, stored->second) << where << ": " << entry.sequence;
      found[entry.sequence] = entry.bytes;
    }
  }
  for (const auto& [sequence, text] : known.stored) {
    if (synced && sequence > known.acknowledged) {
      ASSERT_TRUE(found.contains(sequence)) << where << ": " << sequence << " was stored and is lost";
    }
  }
}

class PowerLoss : public testing::TestWithParam<Variant> {};

TEST_P(PowerLoss, LosesNothingStoredAndRepeatsNoSequenceAtAnyStep) {
  FaultyStorage whole;
  Known all;
  run_script(whole, GetParam(), all);
  std::uint64_t steps = whole.steps;
  ASSERT_GT(steps, 60U);
  bool synced = GetParam().sync == Sync::batch;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    for (std::uint32_t seed = 0; seed < 6; ++seed) {
      Unsynced what = seed < 2 ? static_cast<Unsynced>(seed) : seed % 2 == 0 ? Unsynced::torn : Unsynced::garbage;
      std::string where = fmt::format("{}: step {}, seed {}", GetParam().name, step, seed);
      FaultyStorage storage;
      storage.dies_at = step;
      Known known;
      run_script(storage, GetParam(), known);
      storage.lose_power(what, seed);
      base::FakeClock clock;
      // The next start is interrupted too, by ever other steps.
      if (seed >= 3) {
        storage.dies_at = 1 + (step + seed) % 9;
        {
          auto log = Log::open(options_of(GetParam()), storage, clock);
        }
        storage.lose_power(what, seed + 100);
      }
      auto log = Log::open(options_of(GetParam()), storage, clock);
      ASSERT_TRUE(log) << where << log.error().detail;
      expect_whole(**log, known, synced, where);
      if (HasFatalFailure()) return;
      std::uint64_t highest = known.highest;
      std::mt19937 random(seed);
      store_some(**log, known, random, 99);
      ASSERT_FALSE(known.stored.empty()) << where;
      ASSERT_GT(known.stored.rbegin()->first, highest) << where << ": a sequence was given out twice";
      ASSERT_GT(known.stored.upper_bound(highest)->first, highest);
      expect_whole(**log, known, synced, where + ", goes on");
      if (HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, PowerLoss,
                         testing::Values(Variant{"batch", Sync::batch, false, false, false},
                                         Variant{"priorities", Sync::batch, true, true, false},
                                         Variant{"encrypted", Sync::batch, true, true, true},
                                         Variant{"interval", Sync::interval, false, true, false},
                                         Variant{"none", Sync::none, true, false, false}),
                         [](const auto& variant) { return variant.param.name; });

}  // namespace
}  // namespace penstock::spool
