// Ends versions that left service, where nobody waits for it: giving back a session's memory takes milliseconds, and
// the last to hold it may be a request on an event loop.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "infer/served.h"

namespace penstock::infer {

class Reaper {
 public:
  Reaper() : grave_(std::make_shared<Grave>()) {}
  // Ends what is left; what is let go of later ends where that happens.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // Whoever lets go of it last, on whatever thread, only hands it over.
  std::shared_ptr<Served> keep(std::unique_ptr<Served> served);

  // While one of these lives, what this thread lets go of last ends at once, and free memory goes back to the system
  // behind it: for threads that load models.
  class Here {
   public:
    Here();
    ~Here();
    Here(const Here&) = delete;
    Here& operator=(const Here&) = delete;
    // Gives back now what was ended so far.
    static void settle();
  };

 private:
  struct Grave {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::unique_ptr<Served>> dead;
    bool closed = false;
    std::thread thread;  // started with the first that comes
    void take(std::unique_ptr<Served> served);
    void serve();
  };
  std::shared_ptr<Grave> grave_;
};

}  // namespace penstock::infer
