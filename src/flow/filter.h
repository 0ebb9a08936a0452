// The chain every call passes. A filter is shared by all cores: it keeps its state in atomics or per key, and takes
// no lock for longer than an instant. Filters run in the order the configuration names them and settle in the reverse
// order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flow/call.h"
#include "flow/key_table.h"
#include "flow/teams.h"
#include "flow/websocket.h"
#include "http/coded_exchange.h"

namespace penstock::flow {

class Filter {
 public:
  virtual ~Filter() = default;
  // Only the head is known. An error refuses the call in the caller's dialect; later filters do not run.
  virtual Result<void> on_head(Call& call) {
    (void)call;
    return {};
  }
  // Model and size are known, nothing was routed yet. May make the call wait, for a bounded time.
  virtual rt::Task<Result<void>> on_request(Call& call) {
    (void)call;
    return rt::Task<Result<void>>::ready();
  }
  // A call that stands for long used more tokens. An error: it has to end.
  virtual Result<void> on_usage(Call& call) {
    (void)call;
    return {};
  }
  // Once per call, after its last byte or its failure, whatever happened before.
  virtual void on_settle(Call& call) { (void)call; }
};

struct FilterFactory {
  std::function<std::unique_ptr<Filter>()> make;
};

// Who may call, and within which limits. The table and the book are the process's; teams are as they are now.
struct Callers {
  std::shared_ptr<KeyTable> keys = std::make_shared<KeyTable>();
  Teams teams = {};
  quota::Book* book = nullptr;      // null: nothing is limited. Outlives the policy.
  quota::Rules address_rules = {};  // of each client address; the book knows them
};

// Keys, filters and how answers are compressed, at one moment; immutable, swapped whole by a reload.
class Policy {
 public:
  // `open_to_all`: callers need no key. The composition root decides that, never the number of keys alone: revoking the
  // last key must not open the door.
  Policy(Callers callers, bool open_to_all, std::vector<std::unique_ptr<Filter>> filters,
         http::Compression compression = {}, WebSocketPolicy websocket = {})
      : callers_(std::move(callers)),
        open_to_all_(open_to_all),
        filters_(std::move(filters)),
        compression_(std::move(compression)),
        websocket_(std::move(websocket)) {}
  KeyTable& keys() const { return *callers_.keys; }
  const std::shared_ptr<KeyTable>& shared_keys() const { return callers_.keys; }
  const Teams& teams() const { return callers_.teams; }
  quota::Book* book() const { return callers_.book; }
  const quota::Rules& address_rules() const { return callers_.address_rules; }
  bool open_to_all() const { return open_to_all_; }
  const std::vector<std::unique_ptr<Filter>>& filters() const { return filters_; }
  const http::Compression& compression() const { return compression_; }
  const WebSocketPolicy& websocket() const { return websocket_; }
  void settle(Call& call) const {
    for (auto filter = filters_.rbegin(); filter != filters_.rend(); ++filter) (*filter)->on_settle(call);
  }

 private:
  Callers callers_;
  bool open_to_all_;
  std::vector<std::unique_ptr<Filter>> filters_;
  http::Compression compression_;
  WebSocketPolicy websocket_;
};

}  // namespace penstock::flow
