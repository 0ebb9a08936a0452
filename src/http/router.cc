#include "http/router.h"

#include <algorithm>
#include <map>

namespace penstock::http {
namespace {

// Segment-wise; a {name} takes exactly one segment, or when last and written {name...} all of the rest.
bool matches(std::string_view pattern, std::string_view path, Params& params) {
  params.clear();
  while (true) {
    std::size_t p = pattern.find('/', 1);
    std::size_t q = path.find('/', 1);
    std::string_view want = pattern.substr(0, p);
    std::string_view have = path.substr(0, q);
    if (want.starts_with("/{")) {
      if (have.size() < 2) return false;
      bool rest = want.ends_with("...}");
      std::string_view name = want.substr(2, want.size() - (rest ? 6 : 3));
      params.emplace_back(name, percent_decode(rest ? path.substr(1) : have.substr(1)));
      if (rest) return true;
    } else if (want != have) {
      return false;
    }
    if (p == std::string_view::npos || q == std::string_view::npos) return p == q;
    pattern.remove_prefix(p);
    path.remove_prefix(q);
  }
}

bool serves(const Route& route, std::string_view method) {
  return route.method == method || (method == "HEAD" && route.method == "GET");
}

}  // namespace

std::string_view param(const Params& params, std::string_view name) {
  for (const auto& [key, value] : params) {
    if (key == name) return value;
  }
  return {};
}

void Router::add(std::string method, std::string pattern, std::string api, RouteHandler handler) {
  if (pattern.find('{') == std::string::npos) {
    literal_[pattern].push_back(routes_.size());
  } else {
    patterned_.push_back(routes_.size());
  }
  routes_.push_back({std::move(method), std::move(pattern), std::move(api), std::move(handler)});
}

Router::Match Router::match(std::string_view method, std::string_view path) const {
  Match match;
  auto consider = [&](const Route& route) {
    if (serves(route, method)) {
      match.route = &route;
      return true;
    }
    match.allowed += match.allowed.empty() ? route.method : ", " + route.method;
    return false;
  };
  if (auto literal = literal_.find(path); literal != literal_.end()) {
    for (std::size_t index : literal->second) {
      if (consider(routes_[index])) return match;
    }
    return match;
  }
  for (std::size_t index : patterned_) {
    Params params;
    if (!matches(routes_[index].pattern, path, params)) continue;
    if (consider(routes_[index])) {
      match.params = std::move(params);
      return match;
    }
  }
  return match;
}

std::string_view Router::api_of(std::string_view path) const {
  std::size_t longest = 0;
  std::map<std::string_view, int> counts;  // of the routes that share so much
  for (const Route& route : routes_) {
    std::size_t shared = 0;
    while (shared < path.size() && shared < route.pattern.size() && path[shared] == route.pattern[shared]) ++shared;
    if (shared > longest) counts.clear();
    longest = std::max(longest, shared);
    if (shared > 0 && shared == longest) ++counts[route.api];
  }
  auto most = std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; });
  return most == counts.end() ? std::string_view() : most->first;
}

}  // namespace penstock::http
