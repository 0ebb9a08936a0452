// A request on its way through the engine.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "infer/lane.h"
#include "infer/repository.h"
#include "infer/request.h"
#include "rt/loop.h"

namespace penstock::infer {

// What a shadow's result is compared with.
struct Original {
  std::int64_t version = 0;
  Response response = {};
};

// One request from arrival to answer.
struct Job {
  using Done = std::function<void(Result<Response>)>;

  rt::Loop* loop = nullptr;  // where the answer is heard; null for a shadow, which nobody hears
  Pick pick = {};            // `served` is the version that runs it now
  Request request = {};
  std::vector<std::size_t> outputs = {};  // places in the model's outputs
  std::size_t rows = 1;
  std::size_t elements = 0;
  base::SteadyTime arrived{};
  base::WallMicros arrived_wall = 0;
  base::SteadyTime deadline = base::SteadyTime::max();
  bool ran = false;                         // the version had it in its hands
  bool tried = false;                       // on a version before, which failed
  bool under_way = false;                   // the watcher was told that it began, and not yet that it ended
  std::optional<Outcome> doubted = {};      // of the version before, whose fault depends on what the fallback says
  std::shared_ptr<Original> original = {};  // set for a shadow
  Done done = {};

  Served& served() const { return *pick.served; }
};

// What the members of one run share.
struct Run {
  std::stop_source stop;
  std::size_t wanted = 0;  // members somebody still waits for; the Scheduler's lock guards it
};

// A job in a queue. The timer and the callback belong to its loop: they are made, and dropped before the answer, on its
// thread.
struct Task {
  explicit Task(Job taken) : job(std::move(taken)) {}

  enum class State { waiting, running, over };

  Job job;
  std::string signature;       // empty: it runs alone
  Turn turn;                   // its place in the lane
  base::SteadyTime entered{};  // the queue
  base::SteadyTime hold{};     // company is waited for until then
  // The loop reads them at any time.
  std::atomic<base::SteadyTime> expires{base::SteadyTime::max()};     // in the queue, it is refused
  std::atomic<base::SteadyTime> delayed_at{base::SteadyTime::max()};  // it goes behind all others
  // Written under the Scheduler's lock. Once it is over, neither timer nor callback touches the engine.
  std::atomic<State> state{State::over};
  std::shared_ptr<Run> run;  // while it is running, with others
  Result<Response> result = std::unexpected(Error{Errc::internal, "the model did not answer"});
  std::optional<rt::Timer> timer;
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
};
using TaskPtr = std::shared_ptr<Task>;

}  // namespace penstock::infer
