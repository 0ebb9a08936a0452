// What a key, or a team for all of its keys, is good for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/document.h"
#include "flow/capability.h"
#include "net/network.h"

namespace penstock::flow {

// Matches `text` against `pattern`, in which * stands for any run of characters.
bool glob_matches(std::string_view pattern, std::string_view text);

// Of each, nothing named means no restriction.
struct Scopes {
  std::vector<std::string> models;  // globs with *
  std::vector<std::string> denied;  // the same; these win
  std::vector<std::string> apis;    // names of dialects: openai, anthropic, ...
  Capabilities can;
  std::vector<std::string> from_texts;  // as written
  std::vector<net::Network> from;

  bool allows_model(std::string_view model) const;
  bool allows_api(std::string_view api) const;
  // Of a key, `admin` has to be named.
  bool allows(Capabilities needs) const { return can.empty() || can.contains(needs); }
  bool allows_from(const net::Endpoint& caller) const;
  // For people: "chat, lab/*, not lab/secret"; "every model".
  std::string models_text() const;
  bool empty() const { return *this == Scopes{}; }
  bool operator==(const Scopes&) const = default;
};

// Reads `models`, `apis`, `can` and `from` of a map. `apis`: those there are, by name. Mistakes are reported on the
// nodes.
Scopes parse_scopes(config::Map& map, const std::vector<std::string>& apis);
// As stored keys and teams keep them: a JSON object with the same members; empty: none. An API nobody knows matches
// nothing. Errors: invalid_argument.
Result<Scopes> parse_scopes(std::string_view json);
// In the one form that parse_scopes() takes; empty for none.
std::string to_text(const Scopes& scopes);

}  // namespace penstock::flow
