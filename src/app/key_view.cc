#include "app/key_view.h"

#include "app/admin_text.h"
#include "app/key_settings.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

Value member_or(const Object& settings, std::string_view name, Value fallback) {
  const Value* value = settings.if_contains(name);
  return value == nullptr ? std::move(fallback) : *value;
}

// One budget stands for a list of one.
Value budgets_of(const Object& settings) {
  Value budgets = member_or(settings, "budget", Array());
  return budgets.is_array() ? std::move(budgets) : Array{std::move(budgets)};
}

Value parsed(const std::string& object) {
  auto value = object.empty() ? Result<Value>(nullptr) : json::parse(object);
  return value ? std::move(*value) : Value(nullptr);
}

}  // namespace

std::string_view state_of(const store::StoredKey& key, base::WallMicros now) {
  if (key.revoked != 0) return "revoked";
  return key.expires != 0 && key.expires <= now ? "expired" : "active";
}

Object describe(const store::StoredKey& key, base::WallMicros now) {
  Object settings = settings_of(key);
  return Object{{"id", text(key.id)},
                {"name", text(key.name)},
                {"declared", false},
                {"state", text(state_of(key, now))},
                {"team", text(key.team)},
                {"models", member_or(settings, "models", Array{"*"})},
                {"apis", member_or(settings, "apis", Array())},
                {"can", member_or(settings, "can", Array())},
                {"from", member_or(settings, "from", Array())},
                {"labels", member_or(settings, "labels", Object())},
                {"priority", text(key.priority)},
                {"limits", member_or(settings, "limits", Object())},
                {"budget", budgets_of(settings)},
                {"created", time_or_null(key.created)},
                {"expires", time_or_null(key.expires)},
                {"revoked", time_or_null(key.revoked)},
                {"last_used", time_or_null(key.last_used)}};
}

Object describe(const store::StoredTeam& team) {
  Object settings = settings_of(team);
  return Object{{"name", text(team.name)},
                {"declared", false},
                {"in", text(team.parent)},
                {"models", member_or(settings, "models", Array{"*"})},
                {"apis", member_or(settings, "apis", Array())},
                {"can", member_or(settings, "can", Array())},
                {"from", member_or(settings, "from", Array())},
                {"limits", member_or(settings, "limits", Object())},
                {"budget", budgets_of(settings)},
                {"created", time_or_null(team.created)}};
}

Object describe(const store::AuditEntry& entry) {
  return Object{{"sequence", entry.sequence},   {"at", time_or_null(entry.at)}, {"actor", text(entry.actor)},
                {"action", text(entry.action)}, {"object", text(entry.object)}, {"before", parsed(entry.before)},
                {"after", parsed(entry.after)}, {"hash", text(entry.hash)}};
}

// Written down as if it were stored, and shown like that.
Object describe(const flow::DeclaredKey& key, base::WallMicros now) {
  store::StoredKey stored;
  stored.name = key.name;
  stored.team = key.team;
  stored.scopes = flow::to_text(key.scopes);
  stored.rules = quota::to_text(key.rules);
  stored.priority = flow::kPriorityNames[static_cast<std::size_t>(key.priority)];
  stored.expires = key.expires;
  Object shown = describe(stored, now);
  Object labels;
  for (const auto& [name, value] : key.labels) labels[name] = text(value);
  shown["labels"] = std::move(labels);
  shown["declared"] = true;
  return shown;
}

Object describe(const flow::TeamSpec& team) {
  store::StoredTeam stored;
  stored.name = team.name;
  stored.parent = team.parent;
  stored.scopes = flow::to_text(team.scopes);
  stored.rules = quota::to_text(team.rules);
  Object shown = describe(stored);
  shown["declared"] = true;
  return shown;
}

}  // namespace penstock::app
