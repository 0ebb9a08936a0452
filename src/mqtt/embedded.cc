#include "mqtt/embedded.h"

#include <mutex>

namespace penstock::mqtt {
namespace {

struct Place {
  std::mutex mutex;  // guards the one below
  std::optional<EmbeddedAddress> address;
};

Place& place() {
  static Place* one = new Place();  // connections may outlive what is static
  return *one;
}

}  // namespace

void Embedded::use(std::optional<EmbeddedAddress> address) {
  std::lock_guard lock(place().mutex);
  place().address = std::move(address);
}

std::optional<EmbeddedAddress> Embedded::find() {
  std::lock_guard lock(place().mutex);
  return place().address;
}

}  // namespace penstock::mqtt
