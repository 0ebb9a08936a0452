// One connection of a client, whatever it speaks, as the server keeps it.
#pragma once

#include "rt/task.h"

namespace penstock::http {

class Connection {
 public:
  virtual ~Connection() = default;
  // Until the connection is over.
  virtual rt::Task<void> run() = 0;
  // Finishes what is under way and takes nothing new. Where only an answer can tell the client so (HTTP/1), an idle
  // connection stays for one more request, until end_idle().
  virtual void drain() = 0;
  // While draining: ends now if nothing is under way, and else with that.
  virtual void end_idle() = 0;
  // Has the handlers under way end their answers; the connection stays for their last words.
  virtual void give_up() = 0;
};

}  // namespace penstock::http
