// Ways of telling: each carries one notice to one target.
#pragma once

#include <functional>
#include <memory>

#include "ingest/alarm_config.h"
#include "ingest/contracts.h"
#include "ingest/notify.h"
#include "rt/pool.h"

namespace penstock::ingest {

// On one loop.
class Carrier {
 public:
  using Done = std::function<void(Result<void>)>;
  virtual ~Carrier() = default;
  // `done` exactly once, on the loop. invalid_argument: the target will never take it.
  virtual void send(rt::Loop& loop, const Notice& notice, Done done) = 0;
};

// What makes carriers: the blocking ones share a thread, which comes with the first of them.
struct CarrierParts {
  HttpPort* http = nullptr;
  std::shared_ptr<rt::Pool> pool;
};
std::unique_ptr<Carrier> make_carrier(const NotifyTarget& target, CarrierParts& parts);
// notify_smtp.cc
std::unique_ptr<Carrier> make_smtp_carrier(const SmtpTarget& target, std::shared_ptr<rt::Pool> pool);

// {"id":"…","event":"raised","time":"…","alarm":{…}}
std::string to_json(const Notice& notice);

}  // namespace penstock::ingest
