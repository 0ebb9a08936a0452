// penstock device list | show | add | change | issue | secret | onboard-code | revoke | quarantine | release | retire |
// twin | command | ca
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "app/admin_text.h"
#include "app/command_groups.h"
#include "app/data_folder.h"
#include "app/setting_options.h"
#include "app/text_table.h"
#include "base/quantity.h"
#include "base/whole_file.h"
#include "device/command.h"
#include "device/office.h"
#include "device/onboarding.h"

namespace penstock::app {
namespace {

using json::Object;
using json::Value;

struct DeviceOptions {
  DataFolder folder;
  std::string name, why, prefix, state, group, profile, groups, tags, expires, out = ".", csr, id, what, payload,
                                                                               desired, authority = "Penstock devices";
  std::int64_t days = 365;
  std::int64_t authority_days = 3650;
  bool json = false;
  bool replace = false;
};

base::WallMicros now() { return base::system_clock().wall(); }

// The state of a data folder, opened for one command.
struct Hands {
  static Result<std::unique_ptr<Hands>> open(const DeviceOptions& options) {
    auto dir = options.folder.path();
    if (!dir) return std::unexpected(dir.error());
    auto state = store::State::open(*dir);
    if (!state) return std::unexpected(state.error());
    auto secret = state->installation_secret();
    if (!secret) return std::unexpected(secret.error());
    return std::make_unique<Hands>(std::move(*dir), std::move(*state), std::move(*secret));
  }
  Hands(std::string folder, store::State opened, base::Secret secret)
      : dir(std::move(folder)), state(std::move(opened)), store(state), office(store, dir, std::move(secret)) {}
  std::string dir;
  store::State state;
  store::DeviceStore store;
  device::Office office;
};

void print(const Object& shown) { std::printf("%s\n", json::dump(shown).c_str()); }

// One that does its work with open hands.
template <auto Work>
Result<int> with_hands(const DeviceOptions& options) {
  auto hands = Hands::open(options);
  if (!hands) return std::unexpected(hands.error());
  return Work(**hands, options);
}

Result<int> said(const DeviceOptions& options, const Result<store::StoredDevice>& device, std::string_view what) {
  if (!device) return std::unexpected(device.error());
  if (options.json) {
    print(device::describe(*device));
  } else {
    std::printf("%s %s; a running gateway takes it over within a second\n", std::string(what).c_str(),
                device->name.c_str());
  }
  return 0;
}

Result<device::Particulars> particulars_of(const DeviceOptions& options) {
  device::Particulars said;
  if (!options.profile.empty()) said.profile = options.profile == "none" ? "" : options.profile;
  if (!options.groups.empty())
    said.groups = options.groups == "none" ? std::vector<std::string>() : split_commas(options.groups);
  for (const std::string& part : split_commas(options.tags)) {
    std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      return fail(Errc::invalid_argument, fmt::format("--tags: '{}' is none; write name=value,name=value", part));
    std::string value = part.substr(equals + 1);
    said.tags[part.substr(0, equals)] = value == "none" ? std::nullopt : std::optional(value);
  }
  return said;
}

Result<int> list(Hands& hands, const DeviceOptions& options) {
  store::DeviceQuery query{
      .prefix = options.prefix, .state = options.state, .group = options.group, .limit = 1000, .offset = 0};
  TextTable table({"NAME", "STATE", "PROFILE", "GROUPS", "LAST SEEN", "WHY"});
  while (true) {
    auto devices = hands.store.devices(query);
    if (!devices) return std::unexpected(devices.error());
    if (devices->empty()) break;
    for (const store::StoredDevice& device : *devices) {
      Object shown = device::describe(device);
      if (options.json) {
        print(shown);
        continue;
      }
      table.add({device.name, device.state, device.profile, list_text(shown, "groups"),
                 device.last_seen == 0 ? "" : base::to_rfc3339(device.last_seen), device.why});
    }
    query.offset += static_cast<std::int64_t>(devices->size());
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> show(Hands& hands, const DeviceOptions& options) {
  auto device = hands.store.device(options.name);
  if (!device) return std::unexpected(device.error());
  if (!*device) {
    return fail(Errc::not_found,
                fmt::format("there is no device '{}'; `penstock device list` shows them", options.name));
  }
  auto credentials = hands.store.credentials(options.name);
  if (!credentials) return std::unexpected(credentials.error());
  Object shown = device::describe(**device);
  json::Array all;
  for (const store::StoredCredential& one : *credentials) all.push_back(device::describe(one));
  shown["credentials"] = all;
  if (options.json) {
    print(shown);
    return 0;
  }
  TextTable table({"WHAT", "VALUE"});
  for (std::string_view name : {"name", "state", "why", "profile", "created", "last_seen"})
    table.add({std::string(name), std::string(json::string_or(shown, name, ""))});
  table.add({"groups", list_text(shown, "groups")});
  table.add({"tags", json::dump(shown["tags"])});
  for (const store::StoredCredential& one : *credentials) {
    table.add({one.kind, fmt::format("{}{}{}", one.id, one.expires == 0 ? "" : ", until ",
                                     one.expires == 0 ? "" : base::to_rfc3339(one.expires))});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> add(Hands& hands, const DeviceOptions& options) {
  auto particulars = particulars_of(options);
  if (!particulars) return std::unexpected(particulars.error());
  return said(options, hands.office.create(options.name, *particulars, command_line_actor()), "added");
}

Result<int> change(Hands& hands, const DeviceOptions& options) {
  auto particulars = particulars_of(options);
  if (!particulars) return std::unexpected(particulars.error());
  return said(options, hands.office.change(options.name, *particulars, command_line_actor()), "changed");
}

Result<int> quarantine(Hands& hands, const DeviceOptions& options) {
  return said(options, hands.office.quarantine(options.name, options.why, command_line_actor()),
              "put into quarantine:");
}

Result<int> release(Hands& hands, const DeviceOptions& options) {
  return said(options, hands.office.release(options.name, command_line_actor()), "released");
}

Result<int> retire(Hands& hands, const DeviceOptions& options) {
  return said(options, hands.office.retire(options.name, command_line_actor()), "retired");
}

Result<int> secret(Hands& hands, const DeviceOptions& options) {
  auto fresh = hands.office.secret(options.name, options.replace, command_line_actor());
  if (!fresh) return std::unexpected(fresh.error());
  std::printf("%s\n", std::string(fresh->secret.reveal()).c_str());
  std::fprintf(stderr, "This is the only time the secret of the device '%s' (id %s) is shown.\n", options.name.c_str(),
               fresh->stored.id.c_str());
  return 0;
}

Result<int> onboard_code(Hands& hands, const DeviceOptions& options) {
  auto lifetime = base::parse_duration(options.expires.empty() ? "24h" : options.expires);
  if (!lifetime) return fail(Errc::invalid_argument, "--expires: " + lifetime.error().detail);
  auto fresh = hands.office.onboard_code(options.name, *lifetime, command_line_actor());
  if (!fresh) return std::unexpected(fresh.error());
  std::printf("%s\n", std::string(fresh->secret.reveal()).c_str());
  std::fprintf(stderr, "Good once, until %s: the device '%s' sends it to POST /devices/onboard.\n",
               base::to_rfc3339(fresh->stored.expires).c_str(), options.name.c_str());
  return 0;
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::invalid_argument, fmt::format("cannot read '{}'", path));
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

Result<int> issue(Hands& hands, const DeviceOptions& options) {
  Result<std::string> request = options.csr.empty() ? Result<std::string>("") : read_text(options.csr);
  if (!request) return std::unexpected(request.error());
  struct stat info{};
  if (::stat(options.out.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return fail(Errc::invalid_argument, fmt::format("--out: '{}' is no folder", options.out));
  auto issued = hands.office.certificate(options.name, *request, static_cast<int>(options.days), command_line_actor());
  if (!issued) return std::unexpected(issued.error());
  auto authority = device::Authority::open(device::authority_folder(hands.dir));
  if (!authority) return std::unexpected(authority.error());
  std::string base = fmt::format("{}/{}", options.out, options.name);
  Result<void> written;
  if (!issued->key.empty()) written = base::write_whole(base + ".key", issued->key.reveal(), 0600, true);
  if (written) written = base::write_whole(base + ".pem", issued->certificate, 0644, true);
  if (written) written = base::write_whole(options.out + "/ca.pem", authority->pem(), 0644, true);
  if (!written) return std::unexpected(written.error());
  std::printf("%s.pem\n", base.c_str());
  std::fprintf(stderr,
               "A certificate for '%s', serial number %s, good until %s%s; ca.pem beside it is who signed it.\n",
               options.name.c_str(), issued->serial.c_str(), base::to_rfc3339(issued->expires).c_str(),
               issued->key.empty() ? "" : fmt::format("; its key is in {}.key and nowhere else", base).c_str());
  return 0;
}

Result<int> revoke(Hands& hands, const DeviceOptions& options) {
  auto count = hands.office.revoke(options.name, {}, options.id, command_line_actor());
  if (!count) return std::unexpected(count.error());
  std::printf("took back %d credential%s of %s; a running gateway refuses them within a second\n", *count,
              *count == 1 ? "" : "s", options.name.c_str());
  return 0;
}

Result<int> twin(Hands& hands, const DeviceOptions& options) {
  auto found = hands.store.twin(options.name);
  if (!found) return std::unexpected(found.error());
  if (!options.desired.empty()) {
    auto changes = json::parse(options.desired);
    if (!changes || !changes->is_object())
      return fail(Errc::invalid_argument, "--desired: a JSON object; its members replace, null takes away");
    auto patched = device::patch_twin(found->desired, changes->get_object());
    if (!patched) return std::unexpected(patched.error());
    found = hands.store.set_desired(options.name, *patched, found->desired_version, command_line_actor());
    if (!found) return std::unexpected(found.error());
  }
  print(device::twin_json(*found));
  return 0;
}

Result<int> command(Hands& hands, const DeviceOptions& options) {
  if (options.what.empty()) {
    auto all = hands.store.commands(options.name, 100);
    if (!all) return std::unexpected(all.error());
    for (const store::StoredCommand& one : *all) print(device::shown_command(one));
    return 0;
  }
  Result<Value> payload = options.payload.empty() ? Result<Value>(nullptr) : json::parse(options.payload);
  if (!payload) return fail(Errc::invalid_argument, "--payload: " + payload.error().detail);
  auto lifetime = base::parse_duration(options.expires.empty() ? "0" : options.expires);
  if (!lifetime) return fail(Errc::invalid_argument, "--expires: " + lifetime.error().detail);
  std::vector<std::string> names{options.name};
  if (options.name.starts_with('@')) {
    auto members = hands.office.members(options.name.substr(1));
    if (!members) return std::unexpected(members.error());
    names = std::move(*members);
    if (names.empty()) return fail(Errc::not_found, fmt::format("nobody is in the group '{}'", options.name.substr(1)));
  }
  for (const std::string& name : names) {
    auto made = device::make_command(name, options.what, *payload, *lifetime, now());
    if (!made) return std::unexpected(made.error());
    if (auto given = hands.store.add_command(*made, command_line_actor()); !given)
      return std::unexpected(given.error());
    std::printf("%s\n", made->id.c_str());
  }
  return 0;
}

Result<int> make_authority(Hands& hands, const DeviceOptions& options, bool replace) {
  auto made = device::Authority::make(device::authority_folder(hands.dir), options.authority,
                                      static_cast<int>(options.authority_days), now(), replace);
  if (!made) return std::unexpected(made.error());
  Object after{{"name", options.authority}, {"expires", base::to_rfc3339(made->expires())}};
  auto noted = hands.state.add_audit(command_line_actor(), replace ? "device.ca.rotate" : "device.ca.init", "device-ca",
                                     "", json::dump(after));
  if (noted) noted = hands.store.note_change();  // a running gateway tells its broker
  if (!noted) return std::unexpected(noted.error());
  std::string folder = device::authority_folder(hands.dir);
  std::printf("%s/trust.pem\n", folder.c_str());
  std::fprintf(
      stderr,
      "That file is for `tls: { client_ca: ... }` of a listener. The private key, in %s/ca.key, signs for this "
      "gateway: back it up, and show it nobody.\n",
      folder.c_str());
  return 0;
}

Result<int> init_authority(Hands& hands, const DeviceOptions& options) { return make_authority(hands, options, false); }

Result<int> rotate_authority(Hands& hands, const DeviceOptions& options) {
  return make_authority(hands, options, true);
}

Result<int> show_authority(Hands& hands, const DeviceOptions&) {
  auto authority = device::Authority::open(device::authority_folder(hands.dir));
  if (!authority) return std::unexpected(authority.error());
  std::fputs(authority->pem().c_str(), stdout);
  return 0;
}

Result<int> list_revoked(Hands& hands, const DeviceOptions&) {
  std::string folder = device::authority_folder(hands.dir);
  if (auto authority = device::Authority::open(folder); !authority) return std::unexpected(authority.error());
  if (auto written = device::publish_revoked(hands.store, hands.dir, now()); !written)
    return std::unexpected(written.error());
  std::printf("%s/ca.crl\n", folder.c_str());
  return 0;
}

class Commands {
 public:
  Commands(CLI::App& group, std::shared_ptr<DeviceOptions> options, Command& chosen)
      : group_(group), options_(std::move(options)), chosen_(chosen) {}
  template <auto Work>
  CLI::App* add(const char* name, const char* about) {
    CLI::App* command = group_.add_subcommand(name, about);
    add_options(*command, options_->folder);
    command->callback(
        [options = options_, &chosen = chosen_] { chosen = [options] { return finish(with_hands<Work>(*options)); }; });
    return command;
  }

 private:
  CLI::App& group_;
  std::shared_ptr<DeviceOptions> options_;
  Command& chosen_;
};

void add_authority_commands(CLI::App& device, const std::shared_ptr<DeviceOptions>& options, Command& chosen) {
  CLI::App* group = device.add_subcommand("ca", "the gateway's own certificate authority for devices");
  group->require_subcommand(1);
  Commands commands(*group, options, chosen);
  auto terms = [&](CLI::App* command) {
    command->add_option("--name", options->authority, "its common name")->capture_default_str();
    command->add_option("--days", options->authority_days, "how long it is good")->capture_default_str();
  };
  terms(commands.add<init_authority>("init", "make it"));
  terms(commands.add<rotate_authority>("rotate", "make another one; certificates of the one before stay good"));
  commands.add<show_authority>("show", "print its certificate");
  commands.add<list_revoked>("crl", "write the list of revoked certificates anew");
}

}  // namespace

void add_device_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<DeviceOptions>();
  CLI::App* device = cli.add_subcommand("device", "devices: who they are, what they are known by, what they are told");
  device->require_subcommand(1);
  Commands commands(*device, options, chosen);
  auto named = [&](CLI::App* command) {
    command->add_option("NAME", options->name, "the device's name")->required();
    return command;
  };
  auto json = [&](CLI::App* command) { command->add_flag("--json", options->json, "for programs"); };
  auto settings = [&](CLI::App* command) {
    command->add_option("--profile", options->profile, "what kind of device it is");
    command->add_option("--groups", options->groups, "comma-separated groups; none takes all away");
    command->add_option("--tags", options->tags, "name=value,name=value: names of your own");
    json(command);
  };

  CLI::App* listed = commands.add<list>("list", "devices of the registry");
  listed->add_option("--prefix", options->prefix, "only names that begin so");
  listed->add_option("--state", options->state, "new, active, quarantined or retired");
  listed->add_option("--group", options->group, "only those of a group");
  json(listed);
  json(named(commands.add<show>("show", "all about a device")));
  settings(named(commands.add<add>("add", "make a device known")));
  settings(named(commands.add<change>("change", "change a device; `none` takes a thing away")));
  CLI::App* issued = named(commands.add<issue>("issue", "a certificate of the gateway's own authority"));
  issued->add_option("--days", options->days, "how long it is good")->capture_default_str();
  issued->add_option("--csr", options->csr, "a certificate signing request, for a key made by the device");
  issued->add_option("--out", options->out, "the folder for NAME.pem, NAME.key and ca.pem")->capture_default_str();
  CLI::App* made = named(commands.add<secret>("secret", "a secret for HTTP and MQTT; it is shown once"));
  made->add_flag("--replace", options->replace, "those it has are good no more");
  CLI::App* coded = named(commands.add<onboard_code>("onboard-code", "a code that is good once; it is shown once"));
  coded->add_option("--expires", options->expires, "its lifetime (default 24h)");
  CLI::App* revoked = named(commands.add<revoke>("revoke", "take credentials back"));
  revoked->add_option("ID", options->id, "which, as `show` says (default: all)");
  CLI::App* isolated = named(commands.add<quarantine>("quarantine", "take nothing from a device any more"));
  isolated->add_option("--why", options->why, "for people");
  json(isolated);
  json(named(commands.add<release>("release", "end the quarantine of a device")));
  json(named(commands.add<retire>("retire", "end a device, for good; its name is not used again")));
  CLI::App* twinned = named(commands.add<twin>("twin", "show a device's twin, or change what is desired"));
  twinned->add_option("--desired", options->desired, "a JSON object: members replace, null takes away");
  CLI::App* told = commands.add<command>("command", "tell a device to do something, or show what it was told");
  told->add_option("NAME", options->name, "the device's name, or @GROUP for all of a group")->required();
  told->add_option("WHAT", options->what, "what to do; absent: show the last ones");
  told->add_option("--payload", options->payload, "JSON");
  told->add_option("--expires", options->expires, "how long it may take (default 10m)");
  add_authority_commands(*device, options, chosen);
}

}  // namespace penstock::app
