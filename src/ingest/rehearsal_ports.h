// What `penstock test` gives steps instead of the world. Private to the module.
//
// The clock is the feed's event time. Models are the real ones. Writes read back what was written, posts are answered
// with 200, a language model gives one fixed answer, state is kept in memory; all of it is remembered.
#pragma once

#include <map>

#include "ingest/contracts.h"

namespace penstock::ingest {

class EventClock : public base::Clock {
 public:
  base::SteadyTime steady() const override { return base::SteadyTime(std::chrono::microseconds(now_)); }
  base::WallMicros wall() const override { return now_; }
  void set(base::WallMicros now) { now_ = std::max(now_, now); }

 private:
  base::WallMicros now_ = 0;
};

// All on the rehearsal's loop.
class RehearsalPorts {
 public:
  // `answered` is told behind every answer, so that the feed can go on. `llm` is what a language model says; without it
  // it cannot be reached.
  RehearsalPorts(const Context& real, std::optional<std::string> llm, std::function<void()> answered);
  Context context();
  EventClock& clock() { return clock_; }
  const std::vector<PointWrite>& writes() const { return writes_.made; }
  const std::vector<HttpPost>& posts() const { return posts_.made; }
  // Something was asked and is not answered.
  bool waiting() const { return under_way_ > 0; }

 private:
  struct Models : ModelPort {
    void infer(rt::Loop& loop, const std::string& model, std::vector<NamedArray> inputs, base::Duration timeout,
               std::function<void(Result<std::vector<NamedArray>>)> done) override;
    ModelPort* real = nullptr;
    RehearsalPorts* owner = nullptr;
  };
  struct Writes : WritePort {
    void write(rt::Loop& loop, PointWrite write, std::function<void(Result<Value>)> done) override;
    void read(rt::Loop& loop, PointRead read, std::function<void(Result<Value>)> done) override;
    std::vector<PointWrite> made;
    RehearsalPorts* owner = nullptr;
  };
  struct Posts : HttpPort {
    void post(rt::Loop& loop, HttpPost request, std::function<void(Result<int>)> done) override;
    std::vector<HttpPost> made;
    RehearsalPorts* owner = nullptr;
  };
  struct Answers : LlmPort {
    void ask(rt::Loop& loop, LlmQuestion question, std::function<void(Result<std::string>)> done) override;
    std::optional<std::string> answer;
    RehearsalPorts* owner = nullptr;
  };
  struct Memory : StatePort {
    std::optional<std::string> get(const std::string& key) const override;
    void put(std::string key, std::string value, Kept kept) override;
    void erase(const std::string& key) override { values.erase(key); }
    std::map<std::string, std::string> values;
  };

  void answered();

  Context real_;
  std::function<void()> told_;
  std::size_t under_way_ = 0;
  EventClock clock_;
  Models models_;
  Writes writes_;
  Posts posts_;
  Answers answers_;
  Memory memory_;
};

}  // namespace penstock::ingest
