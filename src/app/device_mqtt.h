// Twins and commands of devices at the embedded broker: see device/mqtt_face.cc for the topics. Which device may use
// which of them the broker's access list says.
#pragma once

#include <memory>

#include "device/clerk.h"
#include "mqtt/connection.h"

namespace penstock::app {

// The main thread's. The clerk outlives it.
class DeviceMqtt {
 public:
  DeviceMqtt(device::Clerk& clerk, std::string data_dir) : clerk_(clerk), data_dir_(std::move(data_dir)) {}
  ~DeviceMqtt() { serve(false); }
  DeviceMqtt(const DeviceMqtt&) = delete;
  DeviceMqtt& operator=(const DeviceMqtt&) = delete;

  // Whether there is a broker. The connections are made, and made again, beside the caller.
  void serve(bool broker);

 private:
  std::shared_ptr<mqtt::Connection> connect(const char* name, const char* filter, bool publishing);

  device::Clerk& clerk_;
  const std::string data_dir_;
  // Each with a queue of its own at the broker: devices that report all day hold back no answer. What came is
  // acknowledged when the store has it, and waits at the broker while the gateway is away.
  std::shared_ptr<mqtt::Connection> answers_;  // twins and commands go out here too
  std::shared_ptr<mqtt::Connection> reports_;
};

}  // namespace penstock::app
