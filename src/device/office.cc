#include "device/office.h"

#include "device/name.h"
#include "device/onboarding.h"

namespace penstock::device {
namespace {

constexpr std::size_t kGroupsMax = 32;
constexpr std::size_t kTagsMax = 32;
constexpr std::size_t kTextBytesMax = 200;
constexpr base::Duration kCodeLifetimeMax = std::chrono::days(90);

json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  return value ? std::move(*value) : json::Value(nullptr);
}

Result<void> check_text(std::string_view what, std::string_view text) {
  bool plain =
      std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (text.size() <= kTextBytesMax && plain && json::is_valid_utf8(text)) return {};
  return fail(Errc::invalid_argument,
              fmt::format("'{}': at most {} bytes of text without control characters", what, kTextBytesMax));
}

Result<void> set_groups(store::StoredDevice& device, const std::vector<std::string>& groups) {
  if (groups.size() > kGroupsMax)
    return fail(Errc::invalid_argument, fmt::format("'groups': at most {} of them", kGroupsMax));
  json::Array all;
  for (const std::string& group : groups) {
    if (!is_name(group))
      return fail(Errc::invalid_argument, "'groups': a name has 1 to 64 letters, digits, '.', '_' and '-'");
    all.emplace_back(group);
  }
  device.groups = all.empty() ? "" : json::dump(json::Value(std::move(all)));
  return {};
}

Result<void> set_tags(store::StoredDevice& device, const std::map<std::string, std::optional<std::string>>& changes) {
  json::Value kept = device.tags.empty() ? json::Value(json::Object()) : parsed(device.tags);
  json::Object tags = kept.is_object() ? kept.get_object() : json::Object();
  for (const auto& [name, value] : changes) {
    if (auto fine = check_text("tags", name + value.value_or("")); !fine) return fine;
    if (value) {
      tags[name] = *value;
    } else {
      tags.erase(name);
    }
  }
  if (tags.size() > kTagsMax) return fail(Errc::invalid_argument, fmt::format("'tags': at most {} of them", kTagsMax));
  device.tags = tags.empty() ? "" : json::dump(tags);
  return {};
}

Result<void> apply(store::StoredDevice& device, const Particulars& said) {
  if (said.profile) {
    if (auto fine = check_text("profile", *said.profile); !fine) return fine;
    device.profile = *said.profile;
  }
  if (said.groups) {
    if (auto set = set_groups(device, *said.groups); !set) return set;
  }
  return set_tags(device, said.tags);
}

std::unexpected<Error> is_retired(const std::string& name) {
  return fail(Errc::failed_precondition, fmt::format("the device '{}' is retired, for good", name));
}

store::DeviceStore::Change unless_retired(store::DeviceStore::Change change) {
  return [change = std::move(change)](store::StoredDevice& device) -> Result<void> {
    if (device.state == "retired") return is_retired(device.name);
    return change(device);
  };
}

}  // namespace

store::DeviceStore::Change into_quarantine(const std::string& why) {
  return unless_retired([why](store::StoredDevice& device) {
    device.state = "quarantined";
    device.why = why;
    return Result<void>();
  });
}

Result<store::StoredDevice> Office::find(const std::string& name) {
  auto device = store_.device(name);
  if (!device) return std::unexpected(device.error());
  if (!*device) {
    return fail(Errc::not_found,
                fmt::format("there is no device '{}'; `penstock device list` shows them", name.substr(0, 100)));
  }
  if ((*device)->state == "retired") return is_retired(name);
  return std::move(**device);
}

Result<store::StoredDevice> Office::find_or_make(const std::string& name, const store::Actor& actor) {
  auto found = find(name);
  if (found || found.error().code != Errc::not_found) return found;
  auto made = create(name, {}, actor);
  // Somebody was faster.
  if (!made && made.error().code == Errc::already_exists) return find(name);
  return made;
}

Result<store::StoredDevice> Office::create(const std::string& name, const Particulars& said,
                                           const store::Actor& actor) {
  if (auto fine = check_name(name); !fine) return std::unexpected(fine.error());
  store::StoredDevice device;
  device.name = name;
  device.created = actor.at;
  if (auto fine = apply(device, said); !fine) return std::unexpected(fine.error());
  if (auto added = store_.add(device, actor); !added) return std::unexpected(added.error());
  return device;
}

Result<store::StoredDevice> Office::change(const std::string& name, const Particulars& said,
                                           const store::Actor& actor) {
  return store_.change(name, "device.update", actor,
                       unless_retired([&](store::StoredDevice& device) { return apply(device, said); }));
}

Result<store::StoredDevice> Office::quarantine(const std::string& name, const std::string& why,
                                               const store::Actor& actor) {
  if (auto fine = check_text("why", why); !fine) return std::unexpected(fine.error());
  return store_.change(name, "device.quarantine", actor, into_quarantine(why));
}

Result<store::StoredDevice> Office::release(const std::string& name, const store::Actor& actor) {
  return store_.change(name, "device.release", actor, unless_retired([](store::StoredDevice& device) -> Result<void> {
                         if (device.state != "quarantined")
                           return fail(Errc::failed_precondition,
                                       fmt::format("the device '{}' is not in quarantine", device.name));
                         device.state = device.last_seen == 0 ? "new" : "active";
                         device.why.clear();
                         return {};
                       }));
}

Result<store::StoredDevice> Office::retire(const std::string& name, const store::Actor& actor) {
  auto retired = store_.change_and_revoke(name, "device.retire", actor, unless_retired([](store::StoredDevice& device) {
                                            device.state = "retired";
                                            return Result<void>();
                                          }));
  if (!retired) return retired;
  if (auto listed = publish_revoked(store_, data_dir_, actor.at); !listed) return std::unexpected(listed.error());
  return retired;
}

Result<FreshCredential> Office::onboard_code(const std::string& name, base::Duration lifetime,
                                             const store::Actor& actor) {
  if (lifetime < std::chrono::seconds(1) || lifetime > kCodeLifetimeMax)
    return fail(Errc::invalid_argument, "a code is good for 1s to 90d");
  auto device = find_or_make(name, actor);
  if (!device) return std::unexpected(device.error());
  if (auto taken = store_.revoke(name, "code", {}, actor); !taken) return std::unexpected(taken.error());
  base::WallMicros expires = actor.at + std::chrono::duration_cast<std::chrono::microseconds>(lifetime).count();
  FreshCredential fresh = make_code(name, installation_, actor.at, expires);
  if (auto added = store_.add_credential(fresh.stored, "device.onboard_code", actor); !added)
    return std::unexpected(added.error());
  return fresh;
}

Result<FreshCredential> Office::secret(const std::string& name, bool replace, const store::Actor& actor) {
  auto device = find_or_make(name, actor);
  if (!device) return std::unexpected(device.error());
  if (replace) {
    if (auto taken = store_.revoke(name, "secret", {}, actor); !taken) return std::unexpected(taken.error());
  }
  FreshCredential fresh = make_secret(name, installation_, actor.at);
  if (auto added = store_.add_credential(fresh.stored, "device.credential", actor); !added)
    return std::unexpected(added.error());
  return fresh;
}

Result<Authority::Issued> Office::certificate(const std::string& name, const std::string& request, int days,
                                              const store::Actor& actor) {
  if (auto fine = check_name(name); !fine) return std::unexpected(fine.error());
  auto authority = Authority::open(authority_folder(data_dir_));
  if (!authority) return std::unexpected(authority.error());
  auto issued =
      request.empty() ? authority->issue(name, days, actor.at) : authority->sign(name, request, days, actor.at);
  if (!issued) return issued;
  auto device = find_or_make(name, actor);
  if (!device) return std::unexpected(device.error());
  auto added = store_.add_credential(credential_of(name, *issued, actor.at), "device.issue", actor);
  if (!added) return std::unexpected(added.error());
  return issued;
}

Result<int> Office::revoke(const std::string& name, const std::string& kind, const std::string& id,
                           const store::Actor& actor) {
  auto count = store_.revoke(name, kind, id, actor);
  if (!count) return count;
  if (*count == 0)
    return fail(Errc::not_found, fmt::format("the device '{}' has no such credential; `penstock device show {}` shows "
                                             "them",
                                             name, name));
  if (auto listed = publish_revoked(store_, data_dir_, actor.at); !listed) return std::unexpected(listed.error());
  return count;
}

Result<std::vector<std::string>> Office::members(const std::string& group) {
  store::DeviceQuery query;
  query.group = group;
  query.limit = INT64_MAX;
  auto devices = store_.devices(query);
  if (!devices) return std::unexpected(devices.error());
  std::vector<std::string> names;
  for (const store::StoredDevice& device : *devices) {
    if (device.state != "retired") names.push_back(device.name);
  }
  return names;
}

json::Object describe(const store::StoredDevice& device) {
  auto time = [](base::WallMicros at) { return at == 0 ? json::Value(nullptr) : json::Value(base::to_rfc3339(at)); };
  return {{"name", device.name},
          {"state", device.state},
          {"why", device.why},
          {"profile", device.profile},
          {"groups", device.groups.empty() ? json::Value(json::Array()) : parsed(device.groups)},
          {"tags", device.tags.empty() ? json::Value(json::Object()) : parsed(device.tags)},
          {"created", time(device.created)},
          {"last_seen", time(device.last_seen)}};
}

json::Object describe(const store::StoredCredential& credential) {
  json::Object o{
      {"kind", credential.kind},
      {"id", credential.id},
      {"created", base::to_rfc3339(credential.created)},
      {"expires", credential.expires == 0 ? json::Value(nullptr) : json::Value(base::to_rfc3339(credential.expires))}};
  if (credential.kind == "certificate") o["fingerprint"] = credential.hash;
  return o;
}

}  // namespace penstock::device
