// One connection of a client, whatever it speaks, as the server keeps it.
#pragma once

#include "rt/task.h"

namespace penstock::http {

class Connection {
 public:
  virtual ~Connection() = default;
  // Until the connection is over.
  virtual rt::Task<void> run() = 0;
  // Takes nothing new once what is under way has ended, and says so where there is a word for it.
  virtual void leave() = 0;
  // Ends the connection when nothing is under way on it.
  virtual void close_idle() = 0;
  // Has handlers under way end their answers; the connection stays for their last words.
  virtual void give_up() = 0;
};

}  // namespace penstock::http
