// The mock provider as an object: `penstock mock` runs one, and so does the demo in its own process.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "mock/options.h"
#include "rt/loop.h"

namespace penstock::mock {

class Server {
 public:
  // Listens on options.listen (port 0: read endpoint()) and spreads connections over `loops`, at least one. Call before
  // the loops run, or on the thread of the first. The loops must outlive the server.
  static Result<std::unique_ptr<Server>> start(std::vector<rt::Loop*> loops, Options options);
  // After stop(), or when the loops do not run any more.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const net::Endpoint& endpoint() const;
  // Cuts what is under way, closes everything and waits for it. From any thread that runs none of the loops, which must
  // be running. Idempotent.
  void stop();

 private:
  struct Lane;
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// `penstock mock`: prints "penstock mock ready ADDRESS" and serves until SIGTERM or SIGINT. Returns the exit status.
// Errors: unimplemented (dialect), invalid_argument, failed_precondition (the address).
Result<int> run(const Options& options);

}  // namespace penstock::mock
