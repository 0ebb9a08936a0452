// Organisations and teams: what holds for all keys in them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/document.h"
#include "flow/scopes.h"
#include "obs/event.h"
#include "quota/book.h"
#include "quota/rules.h"

namespace penstock::flow {

// As declared or stored.
struct TeamSpec {
  std::string name;
  std::string parent;  // `in`; empty: an organisation
  Scopes scopes;
  quota::Rules rules;
  bool operator==(const TeamSpec&) const = default;
};

struct Team {
  obs::Label name{};
  const Team* above = nullptr;
  Scopes scopes;
  quota::Rules rules;
  std::shared_ptr<quota::Account> account;  // null: it has no limits
  std::vector<quota::Account*> accounts;    // its own and those above it that have limits
  std::size_t depth = 1;
};

// All of them at one moment; immutable.
class Teams {
 public:
  static constexpr std::size_t kDepthMax = 8;

  Teams() = default;
  // Of two with the same name the first counts. What does not fit (an unknown parent, a circle, too deep) is left out
  // and said in `problems`; so are the teams in it. Null `book`: nothing is limited.
  Teams(const std::vector<TeamSpec>& specs, quota::Book* book, std::vector<std::string>& problems);

  // Null when there is none.
  const Team* find(obs::Label name) const;
  std::vector<const Team*> list() const;  // by name

 private:
  std::unordered_map<const char*, std::unique_ptr<const Team>> teams_;  // by the address of the interned name
};

// Reads `teams:`. Mistakes are reported on the nodes.
std::vector<TeamSpec> parse_teams(const config::Node& node, const std::vector<std::string>& apis);

}  // namespace penstock::flow
