#include "app/environment.h"

#include <openssl/crypto.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace penstock::app {
namespace {

constexpr std::array<std::string_view, 10> kLeft{"HOME", "HOSTNAME", "LANG",   "LOGNAME", "PATH",
                                                 "PWD",  "SHELL",    "TMPDIR", "TZ",      "USER"};

}  // namespace

ProcessEnvironment& ProcessEnvironment::instance() {
  static ProcessEnvironment one;
  return one;
}

const char* ProcessEnvironment::take(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (auto found = taken_.find(name); found != taken_.end()) return found->second.reveal().data();
  char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0' || std::find(kLeft.begin(), kLeft.end(), name) != kLeft.end()) return value;
  // A node of a map never moves, so neither does the text.
  const base::Secret& kept = taken_.emplace(name, base::Secret(value)).first->second;
  OPENSSL_cleanse(value, std::strlen(value));
  return kept.reveal().data();
}

std::vector<std::string> ProcessEnvironment::all() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> variables;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    std::string_view line = *one;
    std::string name(line.substr(0, line.find('=')));
    auto found = taken_.find(name);
    if (found == taken_.end()) {
      variables.emplace_back(line);
    } else {
      variables.push_back(name + "=" + std::string(found->second.reveal()));
    }
  }
  return variables;
}

}  // namespace penstock::app
