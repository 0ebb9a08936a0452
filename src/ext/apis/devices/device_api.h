// What devices ask of the gateway: a credential for a one-time code, their twin, their commands. A device sees its own
// alone.
#pragma once

#include "device/clerk.h"
#include "flow/dialect.h"

namespace penstock::ext {

class DeviceApi {
 public:
  explicit DeviceApi(device::Clerk& clerk) : clerk_(clerk) {}
  rt::Task<void> onboard(flow::Call& call) const;
  rt::Task<void> twin(flow::Call& call, std::string device) const;
  rt::Task<void> desired(flow::Call& call, std::string device) const;
  rt::Task<void> report(flow::Call& call, std::string device) const;
  rt::Task<void> commands(flow::Call& call, std::string device) const;
  rt::Task<void> acknowledge(flow::Call& call, std::string device, std::string command) const;

 private:
  template <class T>
  rt::Task<Result<T>> ask(rt::Loop& loop, std::function<Result<T>(store::DeviceStore&)> work) const;
  Result<void> check(const flow::Call& call, const std::string& device) const;
  // Whether it was revoked, quarantined or retired since it entered.
  Result<void> check_again(flow::Call& call, const std::string& device) const;
  // ask() for a call that stands: nothing is done for, and nothing told to, somebody who may no longer ask.
  template <class T>
  rt::Task<Result<T>> ask_again(flow::Call& call, std::string device,
                                std::function<Result<T>(store::DeviceStore&)> work) const;
  rt::Task<Result<void>> enter(flow::Call& call, const std::string& device) const;
  rt::Task<void> stream_commands(flow::Call& call, std::string device) const;
  base::WallMicros now() const { return base::system_clock().wall(); }

  device::Clerk& clerk_;
};

}  // namespace penstock::ext
