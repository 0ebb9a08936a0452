// A device with a one-time code becomes one with a credential of its own.
#pragma once

#include <string>

#include "base/secret.h"
#include "device/authority.h"
#include "store/device_store.h"

namespace penstock::device {

// The folder of the authority in a data folder.
std::string authority_folder(const std::string& data_dir);

struct Onboarding {
  std::string code;
  std::string request;  // a certificate signing request; empty: a secret is wanted
  int certificate_days = 365;
};
struct Onboarded {
  std::string device;
  base::Secret secret;      // or
  std::string certificate;  // PEM, and
  std::string authority;    // who signed it, PEM
  base::WallMicros expires = 0;
};
// Errors: not_found for a code nobody has (the same words whatever is wrong with it), invalid_argument for a request
// that cannot be used (the code stays good), failed_precondition without an authority.
Result<Onboarded> onboard(store::DeviceStore& store, const std::string& data_dir, const base::Secret& installation,
                          const Onboarding& asked, base::WallMicros now);

// The credential that is stored for a certificate.
store::StoredCredential credential_of(const std::string& device, const Authority::Issued& issued, base::WallMicros now);

// After a certificate was taken back, or a device left: ca.crl, when there is an authority.
Result<void> publish_revoked(store::DeviceStore& store, const std::string& data_dir, base::WallMicros now);

}  // namespace penstock::device
