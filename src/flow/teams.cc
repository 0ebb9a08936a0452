#include "flow/teams.h"

namespace penstock::flow {
namespace {

using SpecsByName = std::map<std::string_view, const TeamSpec*>;

// What is wrong with the way up from this team; empty: nothing.
std::string wrong_with(const TeamSpec& spec, const SpecsByName& all) {
  const TeamSpec* at = &spec;
  for (std::size_t depth = 1; !at->parent.empty(); ++depth) {
    auto above = all.find(at->parent);
    if (above == all.end()) return fmt::format("there is no team '{}'", at->parent);
    at = above->second;
    if (at == &spec) return fmt::format("the team '{}' is in itself", spec.name);
    if (depth == Teams::kDepthMax)
      return fmt::format("a team is at most {} levels deep (and never in itself)", Teams::kDepthMax);
  }
  return {};
}

}  // namespace

Teams::Teams(const std::vector<TeamSpec>& specs, quota::Book* book, std::vector<std::string>& problems) {
  SpecsByName all;
  for (const TeamSpec& spec : specs) {
    if (!all.emplace(spec.name, &spec).second)
      problems.push_back(fmt::format("team '{}': it is there twice", spec.name));
  }
  std::function<const Team*(const TeamSpec&)> add = [&](const TeamSpec& spec) -> const Team* {
    obs::Label name = obs::intern(spec.name);
    if (const Team* known = find(name)) return known;
    auto team = std::make_unique<Team>();
    team->name = name;
    team->scopes = spec.scopes;
    team->rules = spec.rules;
    if (book != nullptr && !spec.rules.empty()) {
      team->account = book->account("team:" + spec.name, fmt::format("the team '{}'", spec.name), spec.rules);
      team->accounts.push_back(team->account.get());
    }
    if (!spec.parent.empty()) {
      team->above = add(*all.at(spec.parent));
      team->depth = team->above->depth + 1;
      team->accounts.insert(team->accounts.end(), team->above->accounts.begin(), team->above->accounts.end());
    }
    return teams_.emplace(name.data, std::move(team)).first->second.get();
  };
  for (const auto& [name, spec] : all) {
    std::string wrong = wrong_with(*spec, all);
    if (wrong.empty()) {
      add(*spec);
    } else {
      problems.push_back(fmt::format("team '{}': {}", name, wrong));
    }
  }
}

const Team* Teams::find(obs::Label name) const {
  auto found = teams_.find(name.data);
  return found == teams_.end() ? nullptr : found->second.get();
}

std::vector<const Team*> Teams::list() const {
  std::vector<const Team*> all;
  for (const auto& [name, team] : teams_) all.push_back(team.get());
  std::sort(all.begin(), all.end(), [](const Team* a, const Team* b) { return a->name.view() < b->name.view(); });
  return all;
}

std::vector<TeamSpec> parse_teams(const config::Node& node, const std::vector<std::string>& apis) {
  std::vector<TeamSpec> teams;
  if (!node.present()) return teams;
  std::vector<config::Node> parents;
  for (const auto& [name, entry] : node.map().entries()) {
    config::Map map = entry.map();
    TeamSpec team;
    team.name = name;
    config::Node parent = map.get("in");
    team.parent = parent.text();
    team.scopes = parse_scopes(map, apis);
    team.rules = quota::parse_rules(map);
    map.done();
    teams.push_back(std::move(team));
    parents.push_back(parent);
  }
  SpecsByName all;
  for (const TeamSpec& team : teams) all.emplace(team.name, &team);
  for (std::size_t i = 0; i < teams.size(); ++i) {
    // A mistake further up is reported where it is.
    bool own = teams[i].parent.empty() || !all.contains(teams[i].parent);
    std::string wrong = wrong_with(teams[i], all);
    if (!wrong.empty() && (own || !wrong.starts_with("there is no team"))) parents[i].problem(wrong);
  }
  return teams;
}

}  // namespace penstock::flow
