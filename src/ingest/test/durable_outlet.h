// Outlets with a buffer on a real disk, and a sink that answers when it is told to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "ingest/buffer_store.h"
#include "ingest/follower.h"
#include "ingest/outlet.h"
#include "ingest/sample_bytes.h"
#include "rt/test/on_loop.h"
#include "spool/test/faulty_storage.h"

namespace penstock::ingest {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Everything but the constructor on the loop.
class ScriptedSink : public Sink {
 public:
  struct Shared {
    bool up = true;
    bool holds = false;  // answers wait in `held`
    std::size_t batch = 100;
    Priority least = Priority::bulk;
    std::size_t takes = SIZE_MAX;  // of a batch
    std::vector<std::function<void(Sent)>> held;
    std::vector<Sample> got;  // while up
    std::function<void()> ready;
  };
  explicit ScriptedSink(Shared& shared) : shared_(shared) {}
  Result<void> start(rt::Loop&) override { return {}; }
  std::size_t batch_max() const override { return shared_.batch; }
  Priority least() const override { return shared_.least; }
  void on_ready(std::function<void()> told) override { shared_.ready = std::move(told); }
  void send(Batch batch, std::function<void(Sent)> done) override {
    if (!shared_.up) return done({.outcome = Sent::Outcome::again, .why = "nobody there"});
    const std::size_t taken = std::min(shared_.takes, batch->size());
    shared_.got.insert(shared_.got.end(), batch->begin(), batch->begin() + static_cast<std::ptrdiff_t>(taken));
    for (Sample& sample : shared_.got) sample.receipt.reset();
    if (shared_.holds) return shared_.held.push_back(std::move(done));
    done({.taken = taken});
  }
  void stop() override {}
  Status status() const override { return {.connected = true, .detail = ""}; }

 private:
  Shared& shared_;
};

struct Settled : Receipt {
  explicit Settled(std::atomic<int>& count) : count_(count) {}
  ~Settled() override {
    if (!abandoned()) count_.fetch_add(1);
  }
  std::atomic<int>& count_;
};

class DurableOutlet : public testing::Test {
 protected:
  DurableOutlet() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-outlet-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    options_.disk = 50'000'000;
    store_ = std::make_unique<BufferStore>(folder_, base::system_clock(), nullptr);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~DurableOutlet() override {
    stop();
    loop_.stop();
    thread_.join();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start() {
    outlet_ =
        std::make_shared<Outlet>("fake", std::make_unique<ScriptedSink>(sink_),
                                 OutletOptions{.buffer = options_, .name = "buffers/line.fake", .store = store_.get()});
    on_loop([&] { ASSERT_TRUE(outlet_->start(loop_)); });
  }
  void stop() {
    if (!outlet_) return;
    std::atomic<bool> done = false;
    loop_.post([&] {
      outlet_->stop([&] {
        done = true;
        done.notify_all();
      });
    });
    done.wait(false);
    std::atomic<bool> settled = false;
    store_->settle([&] {
      settled = true;
      settled.notify_all();
    });
    settled.wait(false);
    on_loop([] {});
    outlet_.reset();
  }
  void on_loop(const std::function<void()>& work) { rt::run_on(loop_, work); }
  // In turns of a few, as a pipeline does.
  void deliver(int first, int last, Priority priority = Priority::normal, std::size_t padding = 0) {
    for (int from = first; from < last; from += 50) {
      on_loop([&] {
        for (int n = from; n < std::min(from + 50, last); ++n) {
          Sample sample;
          sample.device = "d";
          sample.event_time = sample.ingest_time = 1'700'000'000'000'000 + n;
          sample.priority = priority;
          sample.set("n", std::int64_t{n});
          if (padding > 0) sample.set("text", std::string(padding, static_cast<char>('a' + n % 26)));
          sample.receipt = std::make_shared<Settled>(settled_);
          outlet_->deliver(sample);
        }
      });
    }
  }
  // Looks on the loop until it is so.
  bool until(const std::function<bool()>& so) {
    for (int i = 0; i < 2'000; ++i) {
      bool is = false;
      on_loop([&] { is = so(); });
      if (is) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  bool got(std::size_t count) {
    return until([&] { return sink_.got.size() >= count; });
  }
  bool stored(std::uint64_t records) {
    return until([&] {
      auto all = store_->status();
      return !all.empty() && all.front().stats.appended >= records;
    });
  }
  std::vector<std::int64_t> numbers() {
    std::vector<std::int64_t> result;
    on_loop([&] {
      for (const Sample& sample : sink_.got) result.push_back(std::get<std::int64_t>(sample.find("n")->value));
    });
    return result;
  }
  static std::vector<std::int64_t> range(int first, int last) {
    std::vector<std::int64_t> result;
    for (int n = first; n < last; ++n) result.push_back(n);
    return result;
  }
  // The link is there again, and is tried at once.
  void restore() {
    on_loop([&] {
      sink_.up = true;
      sink_.ready();
    });
  }

  std::string folder_;
  BufferOptions options_;
  ScriptedSink::Shared sink_;
  std::atomic<int> settled_{0};
  rt::Loop loop_;
  std::thread thread_;
  std::unique_ptr<BufferStore> store_;
  std::shared_ptr<Outlet> outlet_;
};

}  // namespace penstock::ingest
