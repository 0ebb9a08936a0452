#include "ext/sinks/file/sample_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <fstream>

#include "base/test/full_disk.h"
#include "ext/sinks/file/file_sink.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void put(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

class SampleFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sample-file-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "s.ndjson";
  }
  void TearDown() override { fs::remove_all(folder_); }
  SampleFile file(std::uint64_t size_max = 1'000'000, bool compress = false, std::size_t keep = 10) {
    return SampleFile({.path = path_, .size_max = size_max, .every = 1h, .keep = keep, .compress = compress}, clock_);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

  base::FakeClock clock_;
  fs::path folder_;
  fs::path path_;
};

TEST_F(SampleFileTest, GoesOnBehindWhatIsThereAndCutsATornLine) {
  put(path_, "{\"a\":1}\n{\"a\":2");
  {
    SampleFile out = file();
    ASSERT_TRUE(out.append("{\"a\":3}\n"));
  }
  EXPECT_EQ(content(path_), "{\"a\":1}\n{\"a\":3}\n");
  put(path_, "{\"torn");
  SampleFile out = file();
  ASSERT_TRUE(out.append("x\n"));
  EXPECT_EQ(content(path_), "x\n");
}

TEST_F(SampleFileTest, PutsAsideBySizeAndAgeAndKeepsSoMany) {
  SampleFile out = file(4, false, 2);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(out.append(fmt::format("line {}\n", i)));
    clock_.advance(1s);
  }
  EXPECT_EQ(names().size(), 3U) << testing::PrintToString(names());
  EXPECT_EQ(content(path_), "line 4\n");
  EXPECT_EQ(content(folder_ / names()[1]), "line 3\n");
  SampleFile old = SampleFile({.path = folder_ / "t.ndjson", .every = 1h}, clock_);
  ASSERT_TRUE(old.append("a\n"));
  clock_.advance(59min);
  ASSERT_TRUE(old.append("b\n"));
  clock_.advance(1min);
  ASSERT_TRUE(old.append("c\n"));
  EXPECT_EQ(content(folder_ / "t.ndjson"), "c\n");
}

TEST_F(SampleFileTest, NeverOverwritesWhatWasPutAside) {
  SampleFile out = file(1);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(out.append("x\n"));
  EXPECT_EQ(names().size(), 4U) << "in the same millisecond";
}

TEST_F(SampleFileTest, CompressesWhatWasPutAsideAlsoAfterACrash) {
  const std::string lines(100'000, 'x');
  {
    SampleFile plain = file(4);
    ASSERT_TRUE(plain.append(lines + "\n"));
    ASSERT_TRUE(plain.append("second\n"));
  }
  ASSERT_EQ(names().size(), 2U);
  put(folder_ / (names()[0] + ".zst.part"), "half");
  SampleFile out = file(1'000'000, true);
  ASSERT_TRUE(out.append("third\n"));
  ASSERT_THAT(names(), ElementsAre(testing::EndsWith("Z.ndjson.zst"), "s.ndjson"));
  const std::string packed = content(folder_ / names()[0]);
  std::string back(lines.size() + 1, '\0');
  EXPECT_EQ(ZSTD_decompress(back.data(), back.size(), packed.data(), packed.size()), back.size());
  EXPECT_EQ(back, lines + "\n");
}

TEST_F(SampleFileTest, RefusesLinksFoldersAndFilesOfOthers) {
  put(folder_ / "elsewhere", "");
  fs::create_symlink(folder_ / "elsewhere", path_);
  EXPECT_FALSE(file().append("x\n"));
  EXPECT_EQ(content(folder_ / "elsewhere"), "");
  fs::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(file().append("x\n").error().detail, HasSubstr("no ordinary file"));
  fs::remove(path_);
  SampleFile first = file();
  ASSERT_TRUE(first.append("x\n"));
  SampleFile second = file();
  EXPECT_THAT(second.append("y\n").error().detail, HasSubstr("another process"));
  first.close();
  EXPECT_TRUE(second.append("y\n"));
  EXPECT_EQ(content(path_), "x\ny\n");
}

TEST_F(SampleFileTest, BeginsAnewWhenTheFileWasTakenAway) {
  SampleFile out = file();
  ASSERT_TRUE(out.append("x\n"));
  fs::rename(path_, folder_ / "taken");
  ASSERT_TRUE(out.append("y\n"));
  EXPECT_EQ(content(path_), "y\n");
  EXPECT_EQ(content(folder_ / "taken"), "x\n");
}

TEST_F(SampleFileTest, TakesTheLastWriteBackWhenTheDiskIsFull) {
  SampleFile out = file();
  ASSERT_TRUE(out.append("first\n"));
  {
    const base::test::FullDisk full(10);
    ASSERT_FALSE(out.append("second line\n"));
  }
  EXPECT_EQ(content(path_), "first\n");
  ASSERT_TRUE(out.append("second line\n"));
  EXPECT_EQ(content(path_), "first\nsecond line\n");
}

TEST_F(SampleFileTest, TheSinkConfirmsWhatIsWritten) {
  rt::Loop loop;
  FileSink sink({.file = {.path = path_}, .samples = true, .alarms = false}, base::system_clock());
  ASSERT_TRUE(sink.start(loop));
  ingest::Sample sample;
  sample.device = "d";
  ingest::Sent answer{.outcome = ingest::Sent::Outcome::refused};
  sink.send(std::make_shared<std::vector<ingest::Sample>>(2, sample), [&](ingest::Sent sent) {
    answer = std::move(sent);
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(answer.outcome, ingest::Sent::Outcome::confirmed);
  const std::string text = content(path_);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(sink.status().messages, 2U);
  sink.stop();
}

}  // namespace
}  // namespace penstock::ext
