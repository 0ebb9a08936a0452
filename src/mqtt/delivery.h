// Messages that are published together and answered for together. The connection's thread only.
#pragma once

#include <functional>
#include <vector>

#include "mqtt/connection.h"

namespace penstock::mqtt {

struct Delivery {
  std::vector<Outgoing> messages;
  std::function<void(Published)> done;  // empty once answered
  Published result = {};
  std::size_t sent = 0;  // handed to the library; the rest waits
  std::size_t open = 0;  // of those, not acknowledged yet

  bool finished() const { return sent == messages.size() && open == 0; }
  void answer() {
    if (auto tell = std::exchange(done, {})) tell(std::move(result));
  }
  void reject(std::size_t position, std::string why) {
    result.rejected.push_back(position);
    result.why = std::move(why);
  }
  void fail(const std::string& why) {
    result = {.confirmed = false, .why = why, .rejected = {}};
    answer();
  }
};

}  // namespace penstock::mqtt
