// Active health checks: calls the providers that ask for it (`health:`) from time to time. Lives on one core; the
// outcome is seen by all.
#pragma once

#include <map>
#include <memory>

#include "http/client_pool.h"
#include "llm/plan.h"
#include "rt/await.h"
#include "rt/wait.h"

namespace penstock::llm {

class HealthChecks {
 public:
  explicit HealthChecks(http::ClientPool& pool) : pool_(pool), scope_(pool.loop()) {}
  // Checks the providers of `plan` from now on, and no others. One that is checked already goes on as it was.
  void apply(const Plan& plan);
  // Ends all checks; the object may go away after this.
  rt::Task<void> stop();

 private:
  struct Check {
    std::shared_ptr<const Provider> provider;
    std::shared_ptr<const http::Origin> origin;
    rt::Cancellation cancellation;
    http::ClientCall* call = nullptr;
  };
  static void end(Check& check);
  rt::Task<void> run(std::shared_ptr<Check> check);
  rt::Task<void> ask(std::shared_ptr<Check> check);

  http::ClientPool& pool_;
  rt::TaskScope scope_;
  std::map<const http::Origin*, std::shared_ptr<Check>> checks_;
};

}  // namespace penstock::llm
