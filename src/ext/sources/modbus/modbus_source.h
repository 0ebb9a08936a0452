// Devices on Modbus TCP or a serial line as a source of samples, and a way to write to them. See README.md.
#pragma once

#include <memory>
#include <string>

#include "ext/sources/modbus/poller.h"
#include "ingest/contracts.h"

namespace penstock::ext {

class ModbusSource : public ingest::Source {
 public:
  ModbusSource(std::string name, modbus::PollerOptions options, const base::Clock& clock);
  ~ModbusSource() override;

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;
  ingest::Shape shape() const override;
  // Points are named "point", or "device.point" where the source has several devices.
  void write(ingest::PointWrite write, std::function<void(Result<ingest::Value>)> done) override;
  void read(ingest::PointRead read, std::function<void(Result<ingest::Value>)> done) override;

 private:
  struct Place {
    std::size_t device = 0;
    std::size_t point = 0;
  };
  Result<Place> find(const std::string& point) const;

  const std::string name_;
  const modbus::PollerOptions options_;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<modbus::Poller> poller_;
};

std::unique_ptr<ingest::Source> make_modbus_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                   const ingest::Context& context);

}  // namespace penstock::ext
