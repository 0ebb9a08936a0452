// The mock as one loop serves it: finds the dialect of a request, paces its answer out, and fails as told.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/exchange.h"
#include "mock/dialect.h"
#include "rt/await.h"

namespace penstock::mock {

class Front {
 public:
  explicit Front(Shared& shared) : shared_(shared) {}
  rt::Task<void> handle(http::Exchange& exchange);
  // Ends every answer under way: nothing waits any longer.
  void stop();

 private:
  class Visit;
  rt::Task<void> call(http::Exchange& exchange, const Dialect& dialect);
  rt::Task<void> look(http::Exchange& exchange, const Dialect& dialect);
  rt::Task<void> own(http::Exchange& exchange);
  rt::Task<void> realtime(http::Exchange& exchange);
  rt::Task<void> media(http::Exchange& exchange);
  rt::Task<void> answer(Visit& visit, const Dialect& dialect, Call call);
  rt::Task<void> plain(Visit& visit, std::shared_ptr<const Answer> answer, Failure failure);
  rt::Task<void> stream(Visit& visit, const Dialect& dialect, std::shared_ptr<const Answer> answer, Failure failure);
  rt::Task<bool> interrupt(Visit& visit, const Dialect& dialect, const Answer& answer, Failure failure);
  std::expected<std::shared_ptr<const Answer>, Refusal> prepared(const Dialect& dialect, const Call& call);
  Failure failure_for(const http::Request& request, const Traits& traits, std::uint64_t arrival) const;
  bool knows_key(const http::Request& request, const Dialect& dialect) const;

  Shared& shared_;
  std::vector<Visit*> visits_;
  bool stopping_ = false;
  std::string remembered_path_;
  std::string remembered_body_;
  std::shared_ptr<const Answer> remembered_;  // the latest answer
};

}  // namespace penstock::mock
