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
  explicit DeviceMqtt(device::Clerk& clerk) : clerk_(clerk) {}
  ~DeviceMqtt() { serve(false); }
  DeviceMqtt(const DeviceMqtt&) = delete;
  DeviceMqtt& operator=(const DeviceMqtt&) = delete;

  // Whether there is a broker. The connection is made, and made again, beside the caller.
  void serve(bool broker);

 private:
  device::Clerk& clerk_;
  std::shared_ptr<mqtt::Connection> connection_;
};

}  // namespace penstock::app
