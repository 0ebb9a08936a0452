// What the process may do, as little as it needs: who it runs as, what it keeps of root's powers, which system calls it
// may make, and what others may read of its memory. See docs/adr/0021.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "app/system_calls.h"
#include "base/result.h"
#include "config/document.h"

namespace penstock::app {

// `security:` of the configuration.
struct SecurityConfig {
  std::string user;  // to become after the start as root; empty: stay who we are
  SystemCalls::Mode seccomp = SystemCalls::Mode::off;
  bool upgrade = false;  // with seccomp: may start a successor
  bool drop_capabilities = false;
  bool core_dumps = false;

  bool operator==(const SecurityConfig&) const = default;
};

// Mistakes are reported on the node.
SecurityConfig read_security(const config::Node& node);

// No program this process ever starts gets more rights than it (set-uid, file capabilities). Before any other thread.
void forbid_new_privileges();

// The way down from root, in steps: begin() before files are made and threads started, bind() around what needs root,
// settle() before anybody is served. Started as an ordinary user it has nothing to give up but memory and system calls.
class Privileges {
 public:
  explicit Privileges(SecurityConfig config) : config_(std::move(config)) {}

  // From here on files are made and read as `user`; `data_dir` is made for that user when it is not there.
  // `low_port`: something listens below 1024. Errors: no such user; not root and another user.
  Result<void> begin(const std::string& data_dir, bool low_port);
  // Runs `action` with the rights of the start: low ports, certificate keys. Before settle().
  template <class Action>
  auto bind(Action action) {
    Elevated elevated(*this);
    return action();
  }
  // A file made within bind() becomes the user's, who changes and removes it later. Errors: the system refused.
  Result<void> give(const std::string& path) const;
  // Gives up the rest for good, in every thread. Errors: the system refused.
  Result<void> settle();

 private:
  struct Elevated {
    explicit Elevated(Privileges& of) : of_(of) { of_.set_effective(0, 0); }
    ~Elevated() { of_.set_effective(of_.uid_, of_.gid_); }
    Elevated(const Elevated&) = delete;
    Elevated& operator=(const Elevated&) = delete;
    Privileges& of_;
  };
  Result<void> find_user();
  void set_effective(uid_t uid, gid_t gid);

  SecurityConfig config_;
  bool changing_ = false;  // root on the way to `user`
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::vector<gid_t> groups_;
};

}  // namespace penstock::app
