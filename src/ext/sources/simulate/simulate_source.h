// Machines that are not there, for demonstrations and tests. See README.md.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ext/sources/simulate/press.h"
#include "ingest/contracts.h"

namespace penstock::ext {

struct SimulateOptions {
  std::string device;
  base::Duration every{};
  base::Duration life{};
  base::Duration repair{};
  std::uint64_t seed = 1;
  bool truth = false;  // the samples say how worn the bearing really is
};

class SimulateSource : public ingest::Source {
 public:
  SimulateSource(SimulateOptions options, const base::Clock& clock);

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;
  ingest::Shape shape() const override;
  // The one point is `stop`: true stops the press; it cannot be started from here.
  void write(ingest::PointWrite write, std::function<void(Result<ingest::Value>)> done) override;
  void read(ingest::PointRead read, std::function<void(Result<ingest::Value>)> done) override;

 private:
  void take();
  ingest::Sample sample();

  const SimulateOptions options_;
  const base::Clock& clock_;
  SimulatedPress press_;
  ingest::Emit emit_;
  std::unique_ptr<rt::Timer> timer_;
  base::SteadyTime next_{};
  std::atomic<bool> running_{false};
  std::atomic<std::uint64_t> messages_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

std::unique_ptr<ingest::Source> make_simulate_source(const std::string& name, const config::Node& kind,
                                                     config::Map& map, const ingest::Context& context);

}  // namespace penstock::ext
