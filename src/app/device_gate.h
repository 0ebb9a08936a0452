// How the other lanes see devices: samples of those in quarantine are not taken, and a device is a caller with a key of
// its own.
#pragma once

#include "base/secret.h"
#include "broker/broker_user.h"
#include "device/registry.h"
#include "flow/key_table.h"
#include "ingest/contracts.h"

namespace penstock::app {

class DeviceGate : public ingest::DevicePort {
 public:
  explicit DeviceGate(device::Registry& registry) : registry_(registry) {}
  bool admit(std::string_view, std::string_view device) override { return registry_.admit(device); }

 private:
  device::Registry& registry_;
};

// Keeps the keys of devices as the store has the devices: each has one, known by its secrets and certificates, good for
// its own readings, twin and commands. The table outlives what is returned.
store::DeviceStore::Visitor keep_device_keys(flow::KeyTable& keys, base::Secret installation);

// As the embedded broker takes them: by their certificates, and by the newest of their secrets.
std::vector<broker::BrokerUser> broker_users(const std::vector<device::BrokerIdentity>& identities);

}  // namespace penstock::app
