// This machine as a device: one sample per period.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ext/sources/host/probe.h"
#include "ingest/contracts.h"

namespace penstock::ext {

class HostSource : public ingest::Source {
 public:
  HostSource(HostProbe probe, base::Duration every, const base::Clock& clock);

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  void arm(rt::Loop& loop);
  void take(rt::Loop& loop);

  HostProbe probe_;
  const base::Duration every_;
  const base::Clock& clock_;
  const std::string device_;
  ingest::Emit emit_;
  std::unique_ptr<rt::Timer> timer_;
  base::SteadyTime next_;
  std::atomic<bool> running_{false};
  std::atomic<std::uint64_t> messages_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

// `root` stands before every path read; "" for the machine itself.
std::unique_ptr<ingest::Source> make_host_source(const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context, const std::string& root);

}  // namespace penstock::ext
