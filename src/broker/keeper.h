// The process that keeps the broker: a small one of the gateway's own program, between the two. It starts the broker,
// starts it again when it ends, tells the gateway, and stops it when the gateway says so or is gone, however that came.
// The gateway itself may be forbidden to start programs (security.seccomp) once its keeper is there. If the keeper is
// killed, the system ends the broker. See docs/adr/0040.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/result.h"

namespace penstock::broker {

// A packet is one order or one piece of news: its kind, and a text.
enum class Order : char {
  start = 'g',   // for the first time
  again = 'r',   // stop the broker and start it with its settings as they are now
  reread = 'h',  // passwords and access list were changed
  finish = 's',  // stop the broker, then end
};
enum class News : char {
  running = 'u',  // the broker's process id
  ended = 'd',    // why, in words
  line = 'l',     // a line the broker said
  finished = 'e',
};

// The command `penstock broker-keeper PROGRAM SETTINGS`: keeps that program for the gateway at the other end of
// `socket` until that is gone. Single-threaded.
int serve_keeper(int socket, const std::string& program, const std::string& settings);

// Starts a keeper with `socket` as its descriptor 3; its process id, or -1 with errno.
using LaunchKeeper = std::function<pid_t(int socket, const std::string& program, const std::string& settings)>;
pid_t launch_keeper(int socket, const std::string& program, const std::string& settings);

}  // namespace penstock::broker
