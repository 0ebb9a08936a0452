// A log on a file system that fails on purpose.
#pragma once

#include <gtest/gtest.h>

#include "spool/log.h"
#include "spool/test/faulty_storage.h"

namespace penstock::spool {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    options.folder = "log";
    options.cursors = {"sink"};
    options.bytes_max = 256 << 10U;
    options.segment_bytes = 8 << 10U;
    options.compress = false;
    options.report = [this](const std::string& text) { reports.push_back(text); };
  }

  void open() {
    log = nullptr;
    auto opened = Log::open(options, storage, clock);
    ASSERT_TRUE(opened) << opened.error().detail;
    log = std::move(*opened);
  }
  Result<std::uint64_t> store(std::vector<Entry> entries) {
    Batch batch{&entries, 0};
    log->store({&batch, 1});
    return batch.first;
  }
  Result<std::uint64_t> store(const std::string& text, std::uint8_t priority = 1) {
    return store(std::vector<Entry>{{0, 0, priority, text}});
  }
  // `count` entries of a kilobyte, one by one; the first bytes are a number from `from` on.
  void fill(int count, int from = 0, std::uint8_t priority = 1) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(store(kilobyte(from + i), priority)) << i;
  }
  static std::string kilobyte(int number) {
    std::string text = fmt::format("{:06}", number);
    return text + std::string(1000, 'x');
  }
  // What can be read after `after`: the first six bytes of each.
  std::vector<std::string> all(std::uint64_t after = 0) {
    std::vector<std::string> out;
    while (true) {
      auto entries = log->read(after, 5000);
      EXPECT_TRUE(entries) << entries.error().detail;
      if (!entries || entries->empty()) return out;
      for (const Entry& entry : *entries) {
        EXPECT_GT(entry.sequence, after);
        after = entry.sequence;
        out.push_back(entry.bytes.substr(0, 6));
      }
    }
  }
  bool reported(std::string_view words) const {
    return std::any_of(reports.begin(), reports.end(),
                       [&](const std::string& text) { return text.find(words) != std::string::npos; });
  }
  std::vector<std::string> files(std::string_view ending) const {
    std::vector<std::string> out;
    for (const std::string& path : storage.paths()) {
      if (path.ends_with(ending)) out.push_back(path);
    }
    return out;
  }

  FaultyStorage storage;
  base::FakeClock clock;
  Options options;
  std::vector<std::string> reports;
  std::unique_ptr<Log> log;
};

}  // namespace penstock::spool
