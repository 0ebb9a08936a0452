// One connection of a client, whatever it speaks, as the server keeps it.
#pragma once

#include "rt/task.h"

namespace penstock::http {

class Connection {
 public:
  virtual ~Connection() = default;
  // Until the connection is over.
  virtual rt::Task<void> run() = 0;
  // Finishes what is under way and takes nothing new; an idle connection ends now.
  virtual void drain() = 0;
};

}  // namespace penstock::http
