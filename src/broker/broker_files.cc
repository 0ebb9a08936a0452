#include "broker/broker_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "base/secret.h"
#include "base/whole_file.h"
#include "broker/authorities.h"

namespace penstock::broker {
namespace {

// Beside its payload a message carries its topic and properties.
constexpr std::uint64_t kPacketHead = 70'000;
constexpr std::string_view kOwnNamePrefix = "penstock-gateway-";
constexpr std::size_t kOwnNameBytes = 12;
constexpr std::size_t kOwnNameSize = kOwnNamePrefix.size() + kOwnNameBytes * 4 / 3;
// What is on its way to a client, of what may wait for it.
constexpr std::uint64_t kInflightShare = 4;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// By its place: the file may be empty yet.
bool is_place_of(const std::string& path, const OwnAuthority& own) {
  if (own.folder.empty()) return false;
  std::error_code ignored;
  const auto meant = std::filesystem::weakly_canonical(path, ignored);
  return meant == std::filesystem::weakly_canonical(own.trusted(), ignored) ||
         meant == std::filesystem::weakly_canonical(own.current(), ignored);
}

// By what is in a file at `path`. One that tells of nobody is not taken for a stranger's: it may be half written.
Result<bool> holds_own(const std::string& pem, const std::string& path, const OwnAuthority& own) {
  const std::set<std::string> given = authorities_in(pem);
  if (given.empty()) {
    return fail(Errc::unavailable,
                fmt::format("'{}' (`client_ca` of `broker:`) cannot be read, or holds no certificate that is still "
                            "good: check the file and who may read it",
                            path));
  }
  std::set<std::string> ours;
  if (!own.folder.empty()) {
    ours = authorities_in(read_file(own.trusted()), true);
    ours.merge(authorities_in(read_file(own.current()), true));
  }
  const auto of_ours = [&](const std::string& key) { return ours.contains(key); };
  if (std::none_of(given.begin(), given.end(), of_ours)) return false;
  if (std::all_of(given.begin(), given.end(), of_ours)) return true;
  return fail(
      Errc::failed_precondition,
      fmt::format("'{}' (`client_ca` of `broker:`) holds this gateway's own authority for devices beside others, "
                  "and at one listener a certificate that was taken back could not be told from a good one: "
                  "write `client_ca: {}` for the devices' own certificates, or take that authority out of it",
                  path, own.trusted()));
}

// Mosquitto reads authorities only when it is started: others are other settings.
std::string authorities_text(const std::string& path, const std::string& pem) {
  return fmt::format("cafile {}\nrequire_certificate true\n# authorities {}\n", path, base::hmac_sha256_hex("", pem));
}

Result<void> add_listener(const BrokerConfig& config, const BrokerFiles& files, const OwnAuthority& own,
                          BrokerSettings& out) {
  out.text += fmt::format("listener {} {}\nmax_connections {}\n", config.port, config.host, config.connections_max);
  if (!config.tls) return {};
  out.text += fmt::format("certfile {}\nkeyfile {}\ntls_version tlsv1.2\n", config.tls->cert, config.tls->key);
  const std::string& given = config.tls->client_ca;
  if (given.empty()) return {};
  bool ours = is_place_of(given, own);
  if (!ours) {
    out.client_ca = read_file(given);
    auto known = holds_own(out.client_ca, given, own);
    if (!known) return std::unexpected(known.error());
    ours = *known;
  }
  if (!ours) {
    out.text += authorities_text(files.client_ca(), out.client_ca) + "use_identity_as_username true\n";
    return {};
  }
  out.client_ca.clear();
  // The list it reads with every reload.
  out.text += authorities_text(own.trusted(), read_file(own.trusted())) +
              fmt::format("use_subject_as_username true\ncrlfile {}\n", own.revoked());
  return {};
}

void add_user(const std::string& name, const BrokerUser& user, std::string& out) {
  out += fmt::format("user {}\n", name);
  for (const std::string& filter : user.publish) out += fmt::format("topic write {}\n", filter);
  for (const std::string& filter : user.subscribe) out += fmt::format("topic read {}\n", filter);
}

Error system_error(std::string_view what, const std::string& path) {
  return {Errc::unavailable, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

}  // namespace

Result<BrokerSettings> settings_of(const BrokerConfig& config, const BrokerFiles& files, const OwnAuthority& own) {
  BrokerSettings settings;
  std::string& out = settings.text;
  out = "# Written by Penstock at every start and reload.\n";
  // Else it becomes a user that cannot read this folder.
  if (::geteuid() == 0) out += "user root\n";
  out += fmt::format(
      "log_dest stderr\nlog_timestamp false\nlog_type error\nlog_type warning\n"
      "allow_anonymous {}\npassword_file {}\nacl_file {}\n",
      config.allow_anonymous, files.passwords(), files.access());
  out += fmt::format("persistence {}\n", config.persistence);
  if (config.persistence) {
    out += fmt::format("persistence_location {}/\npersistence_file messages.db\nautosave_interval {}\n", files.folder,
                       config.save_every.count());
  }
  out += fmt::format(
      "max_packet_size {}\nmax_queued_messages {}\nmax_queued_bytes {}\nmax_inflight_messages 1000\n"
      "max_inflight_bytes {}\nmemory_limit {}\nset_tcp_nodelay true\nsys_interval 2\n",
      config.message_bytes_max + kPacketHead, config.queued_max, config.queued_bytes_max,
      config.queued_bytes_max / kInflightShare, config.memory_max);
  out += fmt::format("listener 0 {}\n", files.socket());
  if (auto added = add_listener(config, files, own, settings); !added) return std::unexpected(added.error());
  return settings;
}

std::string passwords_text(const std::vector<BrokerUser>& users) {
  std::string out;
  for (const BrokerUser& user : users) {
    if (!user.password_hash.empty()) out += fmt::format("{}:{}\n", user.name, user.password_hash);
  }
  return out;
}

std::string access_text(const std::vector<BrokerUser>& users, bool allow_anonymous) {
  // What stands before the first user is for those without a name.
  std::string out = allow_anonymous ? "topic readwrite #\n" : "";
  for (const BrokerUser& user : users) {
    add_user(user.name, user, out);
    for (const std::string& subject : user.certificates) add_user(subject, user, out);
  }
  return out;
}

Result<void> make_folder(const BrokerFiles& files) {
  if (files.socket().size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(Errc::invalid_argument,
                fmt::format("the path {} is too long for a local socket ({} bytes at most): choose a shorter data_dir",
                            files.socket(), sizeof(sockaddr_un::sun_path) - 1));
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(files.folder).parent_path(), ignored);
  if (::mkdir(files.folder.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected(system_error("cannot make the folder", files.folder));
  struct stat info{};
  if (::lstat(files.folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid())
    return fail(Errc::failed_precondition, fmt::format("{} is no folder of this user", files.folder));
  if (::chmod(files.folder.c_str(), 0700) != 0) return std::unexpected(system_error("cannot protect", files.folder));
  return {};
}

Result<std::string> load_own_name(const BrokerFiles& files) {
  std::string name = read_file(files.own_name());
  if (name.size() == kOwnNameSize && name.starts_with(kOwnNamePrefix)) return name;
  name = fmt::format("{}{}", kOwnNamePrefix, base::random_token(kOwnNameBytes));
  if (auto written = base::write_whole(files.own_name(), name, 0600, true); !written)
    return std::unexpected(written.error());
  return name;
}

Result<bool> replace_file(const std::string& path, const std::string& text) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && read_file(path) == text) return false;
  auto written = base::write_whole(path, text, 0600, true);
  if (!written) return std::unexpected(written.error());
  return true;
}

std::string common_rules(std::string_view before, std::string_view after) {
  // Every line with the user it is for: none in the list of passwords, where a line is a user.
  using Rule = std::pair<std::string_view, std::string_view>;
  const auto each = [](std::string_view text, const auto& take) {
    std::string_view user;
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      if (line.starts_with("user ")) user = line;
      take(Rule(user, line));
    }
  };
  std::set<Rule> good;
  each(after, [&](const Rule& rule) { good.insert(rule); });
  std::string common;
  each(before, [&](const Rule& rule) {
    if (good.contains(rule))
      common += rule.second;
    else
      common.append(rule.second.size(), '#');
    common += '\n';
  });
  common.resize(before.size());
  return common;
}

bool narrow_file(const std::string& path, const std::string& text) {
  const std::string before = read_file(path);
  const std::string common = common_rules(before, text);
  if (common == before) return false;
  const int file = ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t written = ::pwrite(file, common.data(), common.size(), 0);
  ::close(file);
  return written > 0;
}

}  // namespace penstock::broker
