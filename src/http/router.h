// Method and path to a handler. Patterns are literal paths with {name} segments; the pattern itself is the bounded
// label that metrics use.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/exchange.h"

namespace penstock::http {

// The values of a pattern's {name} segments, percent-decoded, in order.
using Params = std::vector<std::pair<std::string_view, std::string>>;
std::string_view param(const Params& params, std::string_view name);

using RouteHandler = std::function<rt::Task<void>(Exchange&, Params)>;

struct Route {
  std::string method;
  std::string pattern;
  std::string api;  // the dialect family, for errors and metrics: openai, oip, ingest, health, admin
  RouteHandler handler;
};

class Router {
 public:
  void add(std::string method, std::string pattern, std::string api, RouteHandler handler);

  struct Match {
    const Route* route = nullptr;  // null: 404, or 405 when `allowed` is not empty
    Params params;
    std::string allowed;  // methods the path has, comma-separated
  };
  // HEAD finds GET's route.
  Match match(std::string_view method, std::string_view path) const;
  // The family whose paths share the longest prefix with `path`, and of several the one with most such paths: the
  // dialect to answer an unknown path in.
  std::string_view api_of(std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  // Looked up by a view: no copy of the path per request.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::vector<std::size_t>, Hash, std::equal_to<>> literal_;  // without {name}
  std::vector<std::size_t> patterned_;
};

}  // namespace penstock::http
