// Keys: what there are, and making, changing, rotating and revoking them.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "app/key_settings.h"
#include "app/key_view.h"
#include "base/quantity.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

// Those of the configuration that a query is about.
std::vector<Object> declared_keys(const AdminDesk& desk, const store::KeyQuery& query) {
  std::vector<Object> keys = desk.declared()->keys;
  std::erase_if(keys, [&](const Object& key) {
    bool of_team = query.team.empty() || key.at("team") == text(query.team);
    return !of_team || !std::string_view(key.at("name").as_string()).starts_with(query.prefix);
  });
  return keys;
}

std::unexpected<Error> no_key(std::string_view name) {
  return fail(Errc::not_found,
              fmt::format("there is no key in force with the name or id '{}'; GET /admin/v1/keys shows them", name));
}

Result<Object> list(AdminDesk& desk, const AdminCall& call) {
  store::KeyQuery query;
  query.prefix = call.text("prefix");
  query.team = call.text("team");
  query.revoked = call.text("revoked") == "true";
  std::vector<Object> of_file = declared_keys(desk, query);
  std::int64_t offset = call.integer("offset", 0);
  std::int64_t limit = call.integer("limit", 100);
  auto before = static_cast<std::int64_t>(of_file.size());
  Array keys;
  for (std::int64_t i = offset; i < std::min(before, offset + limit); ++i)
    keys.push_back(std::move(of_file[static_cast<std::size_t>(i)]));
  auto total = desk.state->count_keys(query);
  if (!total) return std::unexpected(total.error());
  query.limit = limit - static_cast<std::int64_t>(keys.size());
  query.offset = std::max<std::int64_t>(0, offset - before);
  auto stored = query.limit > 0 ? desk.state->keys(query) : Result<std::vector<store::StoredKey>>();
  if (!stored) return std::unexpected(stored.error());
  for (const store::StoredKey& key : *stored) keys.push_back(describe(key, call.now));
  std::int64_t next = offset + static_cast<std::int64_t>(keys.size());
  return Object{{"keys", std::move(keys)},
                {"total", before + *total},
                {"next", next < before + *total ? Value(next) : Value(nullptr)}};
}

Object with_account(const AdminDesk& desk, Object shown, const std::string& account) {
  auto state = describe_account(desk.book, account);
  shown["account"] = state ? Value(std::move(*state)) : Value(nullptr);
  return shown;
}

Result<Object> show(AdminDesk& desk, const AdminCall& call) {
  std::string name = call.param("key");
  std::shared_ptr<const Declared> of_file = desk.declared();
  if (const Object* key = declared(of_file->keys, name)) return with_account(desk, *key, fmt::format("key:{}", name));
  auto key = desk.state->key(name);
  if (!key) return std::unexpected(key.error());
  if (!*key) return no_key(name);
  return with_account(desk, describe(**key, call.now), fmt::format("key:{}", (*key)->id));
}

// The key that a change is about.
Result<store::StoredKey> changeable(AdminDesk& desk, const std::string& name) {
  if (declared(desk.declared()->keys, name) != nullptr) return is_declared("key", name);
  auto key = desk.state->key(name);
  if (!key) return std::unexpected(key.error());
  if (!*key || (*key)->revoked != 0) return no_key(name);
  return std::move(**key);
}

Result<Object> create(AdminDesk& desk, const AdminCall& call) {
  auto installation = desk.state->installation_secret();
  if (!installation) return std::unexpected(installation.error());
  auto fresh = make_key(call.body, *installation, call.now);
  if (!fresh) return std::unexpected(fresh.error());
  if (declared(desk.declared()->keys, fresh->key.name) != nullptr) return is_declared("key", fresh->key.name);
  if (auto known = check_team(*desk.state, declared_teams(desk), fresh->key.team, "team"); !known)
    return std::unexpected(known.error());
  if (auto added = desk.state->add_key(fresh->key, fresh->stored, {call.actor, call.now}); !added)
    return std::unexpected(added.error());
  desk.keys_changed();
  return Object{{"secret", text(fresh->secret.reveal())}, {"key", describe(fresh->key, call.now)}};
}

Result<Object> update(AdminDesk& desk, const AdminCall& call) {
  auto key = changeable(desk, call.param("key"));
  if (!key) return std::unexpected(key.error());
  if (auto done = change(*key, call.body, call.now); !done) return std::unexpected(done.error());
  if (auto known = check_team(*desk.state, declared_teams(desk), key->team, "team"); !known)
    return std::unexpected(known.error());
  if (auto done = desk.state->update_key(*key, {call.actor, call.now}); !done) return std::unexpected(done.error());
  desk.keys_changed();
  return describe(*key, call.now);
}

Result<Object> rotate(AdminDesk& desk, const AdminCall& call) {
  auto key = changeable(desk, call.param("key"));
  if (!key) return std::unexpected(key.error());
  base::WallMicros old_until = call.now;
  if (const Value* overlap = call.body.if_contains("overlap")) {
    auto span = base::parse_duration(std::string(overlap->get_string()));
    if (!span) return fail(Errc::invalid_argument, "'overlap': " + span.error().detail);
    old_until += std::chrono::duration_cast<std::chrono::microseconds>(*span).count();
  }
  auto installation = desk.state->installation_secret();
  if (!installation) return std::unexpected(installation.error());
  FreshSecret fresh = make_secret(key->id, *installation, call.now);
  auto rotated = desk.state->rotate_key(key->id, fresh.stored, old_until, {call.actor, call.now});
  if (!rotated) return std::unexpected(rotated.error());
  desk.keys_changed();
  return Object{{"secret", text(fresh.secret.reveal())}, {"key", describe(*rotated, call.now)}};
}

Result<Object> revoke(AdminDesk& desk, const AdminCall& call) {
  auto key = changeable(desk, call.param("key"));
  if (!key) return std::unexpected(key.error());
  auto count = desk.state->revoke_key(key->id, {call.actor, call.now});
  if (!count) return std::unexpected(count.error());
  if (*count == 0) return no_key(call.param("key"));
  desk.keys_changed();
  key->revoked = call.now;
  return describe(*key, call.now);
}

}  // namespace

const Object* declared(const std::vector<Object>& all, std::string_view name) {
  auto found = std::find_if(all.begin(), all.end(), [&](const Object& one) { return one.at("name") == text(name); });
  return found == all.end() ? nullptr : &*found;
}

std::unexpected<Error> is_declared(std::string_view what, std::string_view name) {
  return fail(
      Errc::failed_precondition,
      fmt::format("the {} '{}' stands in the configuration file: change it there (`{}s:`), and it is taken over "
                  "without a restart",
                  what, name, what));
}

std::vector<Field> page_fields() {
  return {{"limit", Kind::integer, "How many, 100 unless told.", {}, false, false, 1, 1000},
          {"offset", Kind::integer, "How many to leave out: `next` of the page before."}};
}

std::vector<AdminRoute> key_routes(AdminDesk& desk) {
  std::vector<Field> fields{{"prefix", Kind::text, "Only names that begin so."},
                            {"team", Kind::text, "Only keys of this team."},
                            {"revoked", Kind::text, "Also those that are revoked.", "true false"}};
  for (const Field& field : page_fields()) fields.push_back(field);
  constexpr std::string_view kOne = "/admin/v1/keys/{key}";
  auto with = [&desk](auto handler) { return [&desk, handler](const AdminCall& call) { return handler(desk, call); }; };
  return {{.method = "GET",
           .path = "/admin/v1/keys",
           .name = "listKeys",
           .about = "Keys by name, declared ones first.",
           .query = std::move(fields),
           .gives = "Keys",
           .answer = with(list)},
          {.method = "POST",
           .path = "/admin/v1/keys",
           .name = "createKey",
           .about = "Makes a key; its secret is shown this one time.",
           .takes = "NewKey",
           .gives = "NewSecret",
           .status = 201,
           .refusals = {409},
           .answer = with(create)},
          {.method = "GET",
           .path = kOne,
           .name = "getKey",
           .about = "A key by name or id, and how it stands.",
           .gives = "KeyInFull",
           .answer = with(show)},
          {.method = "PATCH",
           .path = kOne,
           .name = "changeKey",
           .about = "Changes a key; in force with the answer.",
           .takes = "KeyChange",
           .gives = "Key",
           .refusals = {409},
           .answer = with(update)},
          {.method = "DELETE",
           .path = kOne,
           .name = "revokeKey",
           .about = "Revokes a key; it is refused from the answer on.",
           .gives = "Key",
           .refusals = {409},
           .answer = with(revoke)},
          {.method = "POST",
           .path = "/admin/v1/keys/{key}/rotate",
           .name = "rotateKey",
           .about = "Gives a key a new secret; it is shown this one time.",
           .takes = "Rotation",
           .gives = "NewSecret",
           .refusals = {409},
           .answer = with(rotate)}};
}

}  // namespace penstock::app
