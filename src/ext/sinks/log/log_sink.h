// Samples and alarms as lines of the program's log.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "ingest/contracts.h"

namespace penstock::ext {

class LogSink : public ingest::Sink {
 public:
  using Write = std::function<void(std::string_view line)>;

  // `every`: at most one line per device in this time; 0 for all. Alarms are never thinned out by it.
  LogSink(std::string pipeline, base::Duration every, const base::Clock& clock, Write write);

  Result<void> start(rt::Loop& loop) override;
  bool always_takes() const override { return true; }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  void put_sample(const ingest::Sample& sample);
  bool due(const std::string& device);
  void put(std::string_view level, std::string_view message, std::string_view name, const std::string& json);
  // `json` is the value of the member `name`, as it is.
  void write_line(std::string_view level, std::string_view message, std::string_view name, std::string_view json);
  bool allowed();
  void say_left_out();

  const std::string pipeline_;
  const base::Duration every_;
  const base::Clock& clock_;
  const Write write_;
  std::unordered_map<std::string, base::SteadyTime> next_;  // by device, when `every` is set
  base::SteadyTime second_began_{};
  int lines_this_second_ = 0;
  std::uint64_t left_out_ = 0;  // not yet told
  std::atomic<std::uint64_t> messages_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

std::unique_ptr<ingest::Sink> make_log_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                            const ingest::Context& context);

}  // namespace penstock::ext
