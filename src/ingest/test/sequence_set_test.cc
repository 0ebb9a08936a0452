#include "ingest/sequence_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace penstock::ingest {
namespace {

using testing::ElementsAre;

TEST(SequenceSet, RunsThatTouchBecomeOne) {
  SequenceSet set;
  set.add({5, 9});
  set.add({1, 3});
  set.add({4, 4});
  EXPECT_THAT(set.all(), ElementsAre(ingest::Run{1, 9}));
  EXPECT_EQ(set.end_of_run(1), 9U);
  EXPECT_EQ(set.end_of_run(10), 0U);
  set.remove({4, 6});
  EXPECT_THAT(set.all(), ElementsAre(ingest::Run{1, 3}, ingest::Run{7, 9}));
  set.remove_to(7);
  EXPECT_THAT(set.all(), ElementsAre(ingest::Run{8, 9}));
}

TEST(SequenceSet, DoesWhatASetOfNumbersDoes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    SequenceSet runs;
    std::set<std::uint64_t> numbers;
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t first = 1 + random() % 60;
      const std::uint64_t last = first + random() % 9;
      const bool adds = random() % 3 != 0;
      if (adds) runs.add({first, last});
      if (!adds) runs.remove({first, last});
      for (std::uint64_t at = first; at <= last; ++at) {
        if (adds) numbers.insert(at);
        if (!adds) numbers.erase(at);
      }
      for (std::uint64_t at = 0; at < 75; ++at) {
        ASSERT_EQ(runs.contains(at), numbers.contains(at)) << "round " << round << " step " << step << " at " << at;
      }
      std::uint64_t before = 0;
      for (const ingest::Run& run : runs.all()) {
        ASSERT_GT(run.first, before + (before == 0 ? 0 : 1)) << "runs that touch are one";
        before = run.last;
      }
    }
  }
}

TEST(SequenceSet, OfSamplesThatHaveAPosition) {
  std::vector<Sample> samples(5);
  samples[0].position = 3;
  samples[1].position = 4;
  samples[3].position = 9;
  samples[4].position = 10;
  EXPECT_THAT(runs_of(samples), ElementsAre(ingest::Run{3, 4}, ingest::Run{9, 10}));
}

}  // namespace
}  // namespace penstock::ingest
