#include "ingest/buffer_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

struct Read {
  BufferOptions options;
  std::string report;
};

BufferOptions read_sink(const config::Node& node) { return read_buffer(node); }
BufferOptions read_answered(const config::Node& node) { return read_buffer(node, true); }

Read read(const std::string& text, BufferOptions (*how)(const config::Node&) = read_sink) {
  auto document = config::Document::parse("buffer: " + text + "\n", "edge.yaml", [](const std::string& name) {
    return name == "KEY" ? "0123456789abcdef0123456789abcdef" : nullptr;
  });
  config::Map root = document->root().map();
  Read result{how(root.get("buffer")), {}};
  root.done();
  result.report = document->report();
  return result;
}

TEST(BufferConfig, ReadsEveryKey) {
  const Read got = read(
      "{ disk: 2GB, memory: 500, age: 7d, records: 10M, full: drop_newest, replay: 2000/s, live_first: true, "
      "sync: 250ms, compress: false, key: '${KEY}', name: cloud }");
  EXPECT_THAT(got.report, IsEmpty());
  const BufferOptions& options = got.options;
  EXPECT_TRUE(options.durable());
  EXPECT_EQ(options.disk, 2'000'000'000U);
  EXPECT_EQ(options.memory, 500U);
  EXPECT_EQ(options.age, 7 * 24h);
  EXPECT_EQ(options.records, 10'000'000U);
  EXPECT_EQ(options.full, spool::Full::drop_newest);
  EXPECT_EQ(options.replay, 2000);
  EXPECT_TRUE(options.live_first);
  EXPECT_EQ(options.sync, spool::Sync::interval);
  EXPECT_EQ(options.sync_every, 250ms);
  EXPECT_FALSE(options.compress);
  EXPECT_EQ(options.key.reveal().size(), 32U);
  EXPECT_NE(options.key.reveal(), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(options.name, "cloud");
}

TEST(BufferConfig, WithoutDiskItIsTheQueueInMemory) {
  const Read got = read("{ memory: 50, full: refuse }");
  EXPECT_THAT(got.report, IsEmpty());
  EXPECT_FALSE(got.options.durable());
  EXPECT_EQ(got.options.memory, 50U);
  EXPECT_EQ(got.options.full, spool::Full::refuse);
  EXPECT_EQ(read_buffer({}).memory, 10'000U);
}

TEST(BufferConfig, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(read("{ memory: 5, replay: 10/s }").report, HasSubstr("'replay' needs a buffer on disk"));
  EXPECT_THAT(read("{ disk: 2GB, key: short }").report, HasSubstr("openssl rand -hex 32"));
  EXPECT_THAT(read("{ disk: 2GB, sync: sometimes }").report, HasSubstr("'sometimes' is none of: batch"));
  EXPECT_THAT(read("{ disk: 2GB, sync: 5m }").report, HasSubstr("'5m' is none of"));
  EXPECT_THAT(read("{ disk: 10KB }").report, HasSubstr("less than 1MB"));
  EXPECT_THAT(read("{ disk: 2GB, records: many }").report, HasSubstr("'many' is no number of samples"));
  EXPECT_THAT(read("{ disk: 2GB, records: 0 }").report, HasSubstr("'0' is no number of samples"));
  EXPECT_THAT(read("{ disk: 2GB, name: ../etc }").report, HasSubstr("a name is up to 64 letters"));
  EXPECT_THAT(read("{ disk: 2GB, replays: 10/s }").report, HasSubstr("did you mean 'replay'?"));
  EXPECT_THAT(read("{ disk: 2GB, live_first: true }", read_journal).report, HasSubstr("unknown key 'live_first'"));
}

TEST(BufferConfig, BehindADurableSourceMemoryWaitsUnlessSaidOtherwise) {
  EXPECT_EQ(read_answered({}).full, spool::Full::refuse);
  EXPECT_EQ(read("{ memory: 5 }", read_answered).options.full, spool::Full::refuse);
  EXPECT_EQ(read("{ memory: 5, full: drop_newest }", read_answered).options.full, spool::Full::drop_newest);
  EXPECT_EQ(read("{ disk: 2GB }", read_answered).options.full, spool::Full::drop_oldest);
  EXPECT_EQ(read("{ memory: 5 }").options.full, spool::Full::drop_oldest);
}

TEST(BufferConfig, AJournalRefusesWhatItCannotHold) {
  const BufferOptions options = read_journal({});
  EXPECT_EQ(options.disk, 1'000'000'000U);
  EXPECT_EQ(options.full, spool::Full::refuse);
  EXPECT_EQ(options.sync, spool::Sync::batch);
}

}  // namespace
}  // namespace penstock::ingest
