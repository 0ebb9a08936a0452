// A certificate signing request from whoever has a one-time code. Refused with a reason, or certified for the device
// the code is for, whatever the request says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include <unistd.h>

#include "device/authority.h"

namespace {

using namespace penstock;

constexpr base::WallMicros kNow = 1'700'000'000'000'000;

device::Authority fresh_authority() {
  std::string folder = (std::filesystem::temp_directory_path() / "penstock-fuzz-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  auto made = device::Authority::make(folder, "fuzz", 30, kNow, false);
  std::filesystem::remove_all(folder);
  if (!made) std::abort();
  return std::move(*made);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const device::Authority authority = fresh_authority();
  auto issued = authority.sign("press-1", std::string_view(reinterpret_cast<const char*>(data), size), 10, kNow);
  if (!issued && issued.error().detail.empty()) std::abort();
  if (issued && (issued->certificate.empty() || !issued->key.empty())) std::abort();
  return 0;
}
