#include "llm/trimming.h"

#include <gmock/gmock.h>

#include <random>
#include <sstream>

namespace penstock::llm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// "u" a user, "m" the model, "m+a+b" it calls a and b, "t-a" the result of a, "t-a-w" and words of the user beside it,
// "s" instructions.
std::vector<Entry> conversation(const std::string& text) {
  std::vector<Entry> entries;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    Entry entry;
    entry.speaker = word[0] == 's'   ? Speaker::instruction
                    : word[0] == 'u' ? Speaker::user
                    : word[0] == 'm' ? Speaker::model
                                     : Speaker::tool;
    entry.words = word[0] == 'u' || word.ends_with("-w");
    for (std::size_t i = 1; i + 1 < word.size(); i += 2)
      (word[i] == '+' ? entry.calls : entry.results).push_back({word[i + 1]});
    entries.push_back(std::move(entry));
  }
  return entries;
}

// Every entry counts 10.
std::vector<std::uint32_t> dropped(const std::string& text, std::int64_t excess, Keep keep = {.first = 0, .last = 1}) {
  return trim(conversation(text), keep, excess,
              [](std::span<const std::uint32_t> places) { return 10 * std::ssize(places); })
      .dropped;
}

TEST(Trimming, LeavesOutTheOldestTurnsFirstAndNoMoreThanNeeded) {
  EXPECT_THAT(dropped("u m u m u m u", 0), IsEmpty());
  EXPECT_THAT(dropped("u m u m u m u", 1), ElementsAre(0, 1));
  EXPECT_THAT(dropped("u m u m u m u", 20), ElementsAre(0, 1));
  EXPECT_THAT(dropped("u m u m u m u", 21), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(dropped("u m u m u m u", 1000), ElementsAre(0, 1, 2, 3, 4, 5)) << "and what is said last stays";
}

TEST(Trimming, NeverLeavesOutInstructions) { EXPECT_THAT(dropped("s u m s u m u", 1000), ElementsAre(1, 2, 4, 5)); }

TEST(Trimming, KeepsWhatIsToBeKeptWithAllThatBelongsToIt) {
  EXPECT_THAT(dropped("u m u m u m u", 1000, {.first = 0, .last = 3}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(dropped("u m u m u m u", 1000, {.first = 0, .last = 2}), ElementsAre(0, 1, 2, 3))
      << "the third turn is kept whole: its answer is";
  EXPECT_THAT(dropped("u m u m u m u", 1000, {.first = 1, .last = 1}), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(dropped("u m+a t-a m u m u", 1000, {.first = 2, .last = 1}), ElementsAre(4, 5));
}

TEST(Trimming, LeavesOutStepsOfATurnThatIsKept) {
  EXPECT_THAT(dropped("u m+a t-a m+b t-b m+c t-c", 1), ElementsAre(1, 2));
  EXPECT_THAT(dropped("u m+a t-a m+b t-b m+c t-c", 1000), ElementsAre(1, 2, 3, 4)) << "but the question and the last";
  EXPECT_THAT(dropped("u m u m+a t-a m+b t-b", 1000), ElementsAre(0, 1, 3, 4)) << "after whole turns";
  EXPECT_THAT(dropped("u m+a t-a m u m u", 1000, {.first = 1, .last = 1}), ElementsAre(1, 2, 4, 5))
      << "the first turn ends with an answer, so that users do not follow each other";
}

TEST(Trimming, KeepsCallsAndResultsTogether) {
  EXPECT_THAT(dropped("u m+a+b t-a t-b m u m u", 11), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(dropped("u m+a m+b t-b t-a m+c t-c", 1), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(dropped("u m+a u t-a m u", 1), ElementsAre(0, 1, 2, 3, 4)) << "a late result";
  EXPECT_THAT(dropped("u m+a t-a m+a t-a m+a t-a", 21), ElementsAre(1, 2, 3, 4)) << "ids may come again";
}

TEST(Trimming, KeepsTheLastWordsOfTheUserBesideResults) {
  EXPECT_THAT(dropped("u m+a t-a m+b t-b-w m+c t-c m+d t-d", 1000), ElementsAre(1, 2, 5, 6));
}

TEST(Trimming, DoesWithOddConversations) {
  EXPECT_THAT(dropped("", 1000), IsEmpty());
  EXPECT_THAT(dropped("s", 1000), IsEmpty());
  EXPECT_THAT(dropped("u", 1000, {.first = 0, .last = 0}), IsEmpty());
  EXPECT_THAT(dropped("m u m u", 10), ElementsAre(0)) << "what came before any user";
  EXPECT_THAT(dropped("t-x m u", 10), ElementsAre(0, 1)) << "a result of nothing";
  EXPECT_THAT(dropped("u u u", 10), ElementsAre(0));
}

// A conversation as clients have them: turns of a user, steps with calls, an answer.
std::vector<Entry> random_conversation(std::mt19937& random) {
  auto chance = [&random](unsigned of) { return random() % of == 0; };
  std::vector<Entry> entries;
  int ids = 0;
  if (chance(2)) entries.push_back({.speaker = Speaker::instruction});
  for (unsigned turns = 1 + random() % 6; turns > 0; --turns) {
    entries.push_back({.speaker = Speaker::user, .words = true});
    for (unsigned steps = random() % 4; steps > 0; --steps) {
      Entry call{.speaker = Speaker::model};
      for (unsigned calls = 1 + random() % 3; calls > 0; --calls) call.calls.push_back(std::to_string(ids++));
      std::vector<std::string> open = call.calls;
      entries.push_back(std::move(call));
      bool together = chance(2);
      if (together) entries.push_back({.speaker = Speaker::tool, .results = open});
      for (std::size_t i = 0; !together && i < open.size(); ++i)
        entries.push_back({.speaker = Speaker::tool, .results = {open[i]}});
    }
    if (turns > 1 || chance(2)) entries.push_back({.speaker = Speaker::model});
    if (chance(8)) entries.push_back({.speaker = Speaker::instruction});
  }
  return entries;
}

// What every dialect asks of a conversation: it begins with the user, users do not follow each other, results come
// right behind their calls, and every call has its results.
void expect_valid(const std::vector<Entry>& entries) {
  std::vector<std::string> open;
  const Entry* before = nullptr;
  for (const Entry& entry : entries) {
    if (entry.speaker == Speaker::instruction) continue;
    if (before == nullptr) {
      EXPECT_EQ(entry.speaker, Speaker::user);
    } else if (entry.speaker == Speaker::user) {
      EXPECT_NE(before->speaker, Speaker::user);
    }
    if (entry.speaker != Speaker::tool) {
      EXPECT_THAT(open, IsEmpty());
    }
    for (const std::string& id : entry.results) {
      EXPECT_EQ(std::erase(open, id), 1U) << id;
    }
    open.insert(open.end(), entry.calls.begin(), entry.calls.end());
    before = &entry;
  }
  EXPECT_THAT(open, IsEmpty());
}

std::vector<Entry> rest_of(const std::vector<Entry>& entries, const std::vector<std::uint32_t>& gone) {
  std::vector<Entry> rest;
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    if (!std::ranges::binary_search(gone, i)) rest.push_back(entries[i]);
  }
  return rest;
}

TEST(Trimming, LeavesValidConversationsWhateverTheyAre) {
  std::mt19937 random(7);
  for (int round = 0; round < 5000; ++round) {
    std::vector<Entry> entries = random_conversation(random);
    std::vector<std::int64_t> tokens(entries.size());
    for (auto& each : tokens) each = static_cast<std::int64_t>(random() % 50);
    Keep keep{.first = random() % 3, .last = random() % 5};
    auto excess = static_cast<std::int64_t>(random() % 400);
    std::vector<int> asked(entries.size());
    auto count = [&](std::span<const std::uint32_t> places) {
      std::int64_t sum = 0;
      for (std::uint32_t at : places) {
        ++asked[at];
        sum += tokens[at];
      }
      return sum;
    };
    Trimming done = trim(entries, keep, excess, count);
    SCOPED_TRACE(fmt::format("round {}", round));
    ASSERT_TRUE(std::ranges::is_sorted(done.dropped));
    std::int64_t freed = 0;
    for (std::uint32_t at : done.dropped) freed += tokens[at];
    ASSERT_EQ(done.freed, freed);
    for (std::uint32_t i = 0; i < entries.size(); ++i)
      ASSERT_EQ(asked[i], std::ranges::binary_search(done.dropped, i) ? 1 : 0) << "counted once, and only what goes";
    expect_valid(rest_of(entries, done.dropped));
    // What has to stay is still there.
    std::vector<std::uint32_t> said;
    std::uint32_t words = 0;
    for (std::uint32_t i = 0; i < entries.size(); ++i) {
      if (entries[i].speaker != Speaker::instruction) said.push_back(i);
      if (entries[i].words) words = i;
      if (entries[i].speaker == Speaker::instruction) {
        ASSERT_FALSE(std::ranges::binary_search(done.dropped, i));
      }
    }
    ASSERT_FALSE(std::ranges::binary_search(done.dropped, words));
    for (std::size_t i = 0; i < said.size(); ++i) {
      bool kept = i < keep.first || i + std::max<std::size_t>(keep.last, 1) >= said.size();
      if (kept) {
        ASSERT_FALSE(std::ranges::binary_search(done.dropped, said[i]));
      }
    }
    // No less would do.
    Trimming other = trim(entries, keep, static_cast<std::int64_t>(random() % 400), count);
    if (other.freed < done.freed) {
      ASSERT_LT(other.freed, excess);
    }
    if (HasFailure()) return;
  }
}

TEST(Trimming, IsQuickWithLongHistories) {
  std::vector<Entry> entries;
  for (int i = 0; i < 100000; ++i) {
    std::string id = std::to_string(i);
    entries.push_back({.speaker = Speaker::user, .words = true});
    entries.push_back({.speaker = Speaker::model, .calls = {id}});
    entries.push_back({.speaker = Speaker::tool, .results = {id}});
    entries.push_back({.speaker = Speaker::model});
  }
  entries.push_back({.speaker = Speaker::user, .words = true});
  EXPECT_EQ(trim(entries, {}, 1'000'000'000, [](std::span<const std::uint32_t> places) { return std::ssize(places); })
                .dropped.size(),
            399'996U);
}

}  // namespace
}  // namespace penstock::llm
