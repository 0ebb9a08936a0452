// What people do about devices: the same for the admin API and the command line.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "device/authority.h"
#include "device/credential.h"
#include "json/value.h"
#include "store/device_store.h"

namespace penstock::device {

// What may be said of a device at any time. Nothing: stays as it is.
struct Particulars {
  std::optional<std::string> profile;
  std::optional<std::vector<std::string>> groups;
  std::map<std::string, std::optional<std::string>> tags;  // nothing: taken away
};

class Office {
 public:
  // The store outlives it.
  Office(store::DeviceStore& store, std::string data_dir, base::Secret installation)
      : store_(store), data_dir_(std::move(data_dir)), installation_(std::move(installation)) {}

  // Errors of all: not_found, invalid_argument, failed_precondition (it is retired), and what is said beside it.
  Result<store::StoredDevice> create(const std::string& name, const Particulars& said, const store::Actor& actor);
  Result<store::StoredDevice> change(const std::string& name, const Particulars& said, const store::Actor& actor);
  Result<store::StoredDevice> quarantine(const std::string& name, const std::string& why, const store::Actor& actor);
  Result<store::StoredDevice> release(const std::string& name, const store::Actor& actor);
  // For good: its credentials are taken back, its name is not used again.
  Result<store::StoredDevice> retire(const std::string& name, const store::Actor& actor);

  // A code that is good once, until `lifetime` is over; those made before are good no more. Makes the device when there
  // is none.
  Result<FreshCredential> onboard_code(const std::string& name, base::Duration lifetime, const store::Actor& actor);
  // A secret beside those it has; with `replace` they are taken back. Makes the device when there is none.
  Result<FreshCredential> secret(const std::string& name, bool replace, const store::Actor& actor);
  // A certificate, with a key made here, or for that of a request. Makes the device when there is none. Errors:
  // failed_precondition (there is no authority).
  Result<Authority::Issued> certificate(const std::string& name, const std::string& request, int days,
                                        const store::Actor& actor);
  // Takes credentials back: by kind and id, as store::DeviceStore::revoke(). not_found: there was none.
  Result<int> revoke(const std::string& name, const std::string& kind, const std::string& id,
                     const store::Actor& actor);
  // Those of a group that are not retired.
  Result<std::vector<std::string>> members(const std::string& group);

 private:
  Result<store::StoredDevice> find(const std::string& name);
  Result<store::StoredDevice> find_or_make(const std::string& name, const store::Actor& actor);

  store::DeviceStore& store_;
  const std::string data_dir_;
  const base::Secret installation_;
};

// Puts a device into quarantine, whoever decides it. Errors: failed_precondition (it is retired, for good).
store::DeviceStore::Change into_quarantine(const std::string& why);

// Without secrets and hashes.
json::Object describe(const store::StoredDevice& device);
json::Object describe(const store::StoredCredential& credential);

}  // namespace penstock::device
