#include "ext/sources/file/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "file-source-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(std::string_view name) const { return path_ / name; }

 private:
  fs::path path_;
};

void append(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::app) << text;
}

TEST(LineFile, GivesWholeLinesAsTheyCome) {
  const Folder folder;
  append(folder / "f", "one\ntw");
  auto file = LineFile::open(folder / "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(*(*file)->read(false, false), "one\n");
  EXPECT_EQ(*(*file)->read(false, false), "");
  append(folder / "f", "o\nthree");
  EXPECT_EQ(*(*file)->read(false, false), "two\n");
  EXPECT_EQ(*(*file)->read(false, true), "three");
  fs::resize_file(folder / "f", 0);
  append(folder / "f", "anew\n");
  EXPECT_EQ(*(*file)->read(false, false), "anew\n");
}

TEST(LineFile, StepsOverALineThatIsTooLong) {
  const Folder folder;
  append(folder / "f", "a\n" + std::string(3 * LineFile::kLineBytesMax, 'x'));
  auto file = LineFile::open(folder / "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(*(*file)->read(false, false), "a\n");
  EXPECT_EQ((*file)->read(false, false).error().code, Errc::data_loss);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*(*file)->read(false, false), "");
  append(folder / "f", "x\nb\n");
  EXPECT_EQ(*(*file)->read(false, false), "b\n");
}

TEST(LineFile, KeepsQuotedLineBreaksTogetherAndBoundsLines) {
  const Folder folder;
  append(folder / "f", "1,\"a\nb\"\n2,\"c\n");
  auto file = LineFile::open(folder / "f");
  EXPECT_EQ(*(*file)->read(true, false), "1,\"a\nb\"\n");
  EXPECT_EQ(*(*file)->read(true, false), "");
  std::string many;
  for (int i = 0; i < 2'500; ++i) many += "l\n";
  append(folder / "g", many);
  auto large = LineFile::open(folder / "g");
  EXPECT_EQ((*large)->read(false, false)->size(), 2'000U);
  EXPECT_EQ((*large)->read(false, false)->size(), 2'000U);
  EXPECT_EQ((*large)->read(false, false)->size(), 1'000U);
}

TEST(LineFile, ResumesOnlyTheSameFile) {
  const Folder folder;
  append(folder / "f", "one\ntwo\n");
  FileMark mark;
  {
    auto file = LineFile::open(folder / "f");
    (*file)->read(false, false).value();
    mark = (*file)->mark();
  }
  append(folder / "f", "three\n");
  auto again = LineFile::open(folder / "f");
  ASSERT_TRUE((*again)->resume(mark));
  EXPECT_EQ(*(*again)->read(false, false), "three\n");
  // The same inode with other bytes, as where a file system uses numbers again.
  std::ofstream(folder / "f", std::ios::binary) << "other\nbytes\n";
  auto other = LineFile::open(folder / "f");
  EXPECT_FALSE((*other)->resume(mark));
  EXPECT_THAT(LineFile::open(folder / "none").error().detail, HasSubstr("cannot open"));
  EXPECT_FALSE(LineFile::open(folder / ""));
}

TEST(Progress, MovesOnInOrderAndOverARestart) {
  const Folder folder;
  const fs::path file = folder / "sources/p.positions";
  {
    auto progress = Progress::open(file);
    auto first = progress->begin("f", {.inode = 1, .offset = 10});
    auto second = progress->begin("f", {.inode = 1, .offset = 20});
    second.reset();
    EXPECT_FALSE(progress->position("f"));
    first.reset();
    EXPECT_EQ(progress->position("f")->offset, 20U);
    auto refused = progress->begin("f", {.inode = 1, .offset = 30});
    refused->cancel();
    refused.reset();
    EXPECT_EQ(progress->position("f")->offset, 20U);
    auto taken = progress->begin("f", {.device = ~0ULL, .inode = 1, .offset = 30, .head_hash = ~0ULL - 1});
    auto lost = progress->begin("f", {.inode = 1, .offset = 40});
    auto after = progress->begin("f", {.inode = 1, .offset = 50});
    lost->abandon();
    lost.reset();
    after.reset();
    taken.reset();
  }
  auto progress = Progress::open(file);
  EXPECT_EQ(*progress->position("f"), (FileMark{.device = ~0ULL, .inode = 1, .offset = 30, .head_hash = ~0ULL - 1}));
  EXPECT_EQ(Progress::open(file), progress) << "one object for each file";
  progress->keep({});
  EXPECT_FALSE(progress->position("f"));
}

TEST(Progress, BeginsAnewWhenItsFileIsDamaged) {
  const Folder folder;
  append(folder / "p", "{\"f\":{\"inode");
  EXPECT_FALSE(Progress::open(folder / "p")->position("f"));
}

// Takes samples on the source's thread; refuses while full.
class Taker {
 public:
  ingest::Emit emit() {
    return ingest::Emit([this](std::vector<ingest::Sample> samples) {
      std::lock_guard lock(mutex_);
      if (refuse_ > 0 && refuse_-- > 0) return false;
      for (auto& sample : samples) taken_.push_back(std::move(sample));
      ready_.notify_all();
      return true;
    });
  }
  std::vector<ingest::Sample> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    ready_.wait_for(lock, 10s, [&] { return taken_.size() >= count; });
    return taken_;
  }
  void refuse(int times) {
    std::lock_guard lock(mutex_);
    refuse_ = times;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    taken_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<ingest::Sample> taken_;
  int refuse_ = 0;
};

TEST(FileSource, FollowsRotatesAndGoesOnWhereItWas) {
  const Folder folder;
  rt::Loop loop;
  Taker taker;
  FileSourceOptions options{.name = "s", .path = folder / "*.csv", .positions = folder / "sources/s.positions"};
  append(folder / "a.csv", "device,v [mm]\np,1\np,\"2\"\nbroken\np,3\n");
  {
    FileSource source(options, base::system_clock());
    ASSERT_TRUE(source.start(loop, taker.emit()));
    auto first = taker.wait_for(3);
    ASSERT_EQ(first.size(), 3U);
    EXPECT_EQ(first[1].find("v")->unit, "mm");
    taker.refuse(3);
    append(folder / "a.csv", "p,4\n");
    EXPECT_EQ(taker.wait_for(4).size(), 4U) << "a full pipeline is waited for";
    fs::rename(folder / "a.csv", folder / "a.csv.1");
    append(folder / "a.csv.1", "p,5");
    append(folder / "a.csv", "device,v\nq,6\n");
    EXPECT_EQ(taker.wait_for(6).size(), 6U);
    EXPECT_EQ(source.status().dropped, 1U);
    source.stop();
    taker.clear();
  }
  append(folder / "a.csv", "q,7\n");
  fs::rename(folder / "a.csv", folder / "a.csv.2");
  append(folder / "a.csv", "device,v\nr,8\n");
  FileSource source(options, base::system_clock());
  ASSERT_TRUE(source.start(loop, taker.emit()));
  auto rest = taker.wait_for(2);
  std::this_thread::sleep_for(300ms);
  rest = taker.wait_for(2);
  ASSERT_EQ(rest.size(), 2U) << "nothing twice";
  EXPECT_EQ(std::get<std::int64_t>(rest[0].find("v")->value), 7);
  EXPECT_EQ(std::get<std::int64_t>(rest[1].find("v")->value), 8);
  source.stop();
}

TEST(FileSource, ReplaysAtASpeed) {
  const Folder folder;
  rt::Loop loop;
  Taker taker;
  append(folder / "r.ndjson", "{\"time\":1000,\"v\":1}\n{\"time\":1010,\"v\":2}\n{\"time\":1020,\"v\":3}\n");
  FileSource source({.name = "s", .path = folder / "r.ndjson", .replay = true, .speed = 100}, base::system_clock());
  const auto begun = std::chrono::steady_clock::now();
  const auto wall = base::system_clock().wall();
  ASSERT_TRUE(source.start(loop, taker.emit()));
  auto taken = taker.wait_for(3);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 200ms);
  ASSERT_EQ(taken.size(), 3U);
  EXPECT_GE(taken[0].event_time, wall);
  EXPECT_EQ(taken[2].event_time - taken[0].event_time, 200'000);
  source.stop();
  Taker all;
  FileSource fast({.name = "s", .path = folder / "r.ndjson", .replay = true, .speed = 0, .repeat = true},
                  base::system_clock());
  ASSERT_TRUE(fast.start(loop, all.emit()));
  EXPECT_GE(all.wait_for(6).size(), 6U);
  EXPECT_EQ(all.wait_for(6)[0].event_time, 1'000'000'000);
  fast.stop();
}

TEST(FileSourceConfiguration, ReportsMistakes) {
  const auto report = [](const char* yaml) {
    auto document = config::Document::parse(yaml, "t.yaml");
    EXPECT_TRUE(document);
    config::Map map = document->root().map();
    ingest::Context context;
    context.clock = &base::system_clock();
    make_file_source("s", map.get("file"), map, context);
    return document->report();
  };
  EXPECT_EQ(report("file: { path: in/*.csv, mode: replay, speed: 10x, repeat: true, times: keep }"), "");
  EXPECT_THAT(report("file: { path: in/data }"), HasSubstr("does not tell the format"));
  EXPECT_THAT(report("file: { path: in/x.csv, speed: 10x }"), HasSubstr("mode: replay"));
  EXPECT_THAT(report("file: { path: in/x.csv, mode: replay, speed: fast }"), HasSubstr("10x"));
  EXPECT_THAT(report("file: {}"), HasSubstr("'path' is missing"));
}

}  // namespace
}  // namespace penstock::ext
