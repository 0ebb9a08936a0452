#include "device/onboarding.h"

#include <mutex>

#include "device/credential.h"

namespace penstock::device {

std::string authority_folder(const std::string& data_dir) { return data_dir + "/devices"; }

store::StoredCredential credential_of(const std::string& device, const Authority::Issued& issued,
                                      base::WallMicros now) {
  return {device, "certificate", issued.serial, issued.fingerprint, "", now, issued.expires};
}

Result<Onboarded> onboard(store::DeviceStore& store, const std::string& data_dir, const base::Secret& installation,
                          const Onboarding& asked, base::WallMicros now) {
  Onboarded result;
  auto make = [&](const store::StoredDevice& device) -> Result<store::StoredCredential> {
    result.device = device.name;
    if (asked.request.empty()) {
      FreshCredential fresh = make_secret(device.name, installation, now);
      result.secret = std::move(fresh.secret);
      return std::move(fresh.stored);
    }
    auto authority = Authority::open(authority_folder(data_dir));
    if (!authority) return std::unexpected(authority.error());
    auto issued = authority->sign(device.name, asked.request, asked.certificate_days, now);
    if (!issued) return std::unexpected(issued.error());
    result.certificate = issued->certificate;
    result.authority = authority->pem();
    result.expires = issued->expires;
    return credential_of(device.name, *issued, now);
  };
  auto used = store.use_code(hash_of_code(asked.code, installation), now, make);
  if (!used) return std::unexpected(used.error());
  return result;
}

Result<void> publish_revoked(store::DeviceStore& store, const std::string& data_dir, base::WallMicros now) {
  std::string folder = authority_folder(data_dir);
  if (!Authority::exists(folder)) return {};
  auto authority = Authority::open(folder);
  if (!authority) return std::unexpected(authority.error());
  // Two at once would date their lists alike, and the older one could be written last.
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  auto revoked = store.revoked_certificates(now);
  if (!revoked) return std::unexpected(revoked.error());
  return authority->write_revoked(*revoked, now);
}

}  // namespace penstock::device
