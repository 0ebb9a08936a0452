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

// By what is in the file, and by its place: that may be empty yet.
Result<bool> is_own(const std::string& path, const OwnAuthority& own) {
  if (own.folder.empty()) return false;
  std::error_code ignored;
  const auto meant = std::filesystem::weakly_canonical(path, ignored);
  for (const std::string& file : {own.trusted(), own.current()}) {
    if (meant == std::filesystem::weakly_canonical(file, ignored)) return true;
  }
  std::set<std::string> ours = authorities_in(own.trusted(), true);
  ours.merge(authorities_in(own.current(), true));
  const auto of_ours = [&](const std::string& key) { return ours.contains(key); };
  const std::set<std::string> given = authorities_in(path);
  if (std::none_of(given.begin(), given.end(), of_ours)) return false;
  if (std::all_of(given.begin(), given.end(), of_ours)) return true;
  return fail(
      Errc::failed_precondition,
      fmt::format("'{}' (`client_ca` of `broker:`) holds this gateway's own authority for devices beside others, "
                  "and at one listener a certificate that was taken back could not be told from a good one: "
                  "write `client_ca: {}` for the devices' own certificates, or take that authority out of it",
                  path, own.trusted()));
}

Result<std::string> listener_text(const BrokerConfig& config, const OwnAuthority& own) {
  std::string out =
      fmt::format("listener {} {}\nmax_connections {}\n", config.port, config.host, config.connections_max);
  if (!config.tls) return out;
  out += fmt::format("certfile {}\nkeyfile {}\ntls_version tlsv1.2\n", config.tls->cert, config.tls->key);
  if (config.tls->client_ca.empty()) return out;
  auto ours = is_own(config.tls->client_ca, own);
  if (!ours) return std::unexpected(ours.error());
  out += fmt::format("cafile {}\nrequire_certificate true\n", *ours ? own.trusted() : config.tls->client_ca);
  if (!*ours) return out + "use_identity_as_username true\n";
  // Mosquitto reads the list with every reload, but authorities only when it is started: others are other settings.
  return out + fmt::format("use_subject_as_username true\ncrlfile {}\n# authorities {}\n", own.revoked(),
                           base::hmac_sha256_hex("", read_file(own.trusted())));
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

Result<std::string> settings_text(const BrokerConfig& config, const BrokerFiles& files, const OwnAuthority& own) {
  auto listener = listener_text(config, own);
  if (!listener) return listener;
  std::string out = "# Written by Penstock at every start and reload.\n";
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
  return out + *listener;
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
    if (good.contains(rule)) common.append(rule.second) += '\n';
  });
  return common;
}

bool narrow_file(const std::string& path, const std::string& text) {
  const std::string before = read_file(path);
  const std::string common = common_rules(before, text);
  if (common == before) return false;
  const int file = ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t written = ::pwrite(file, common.data(), common.size(), 0);
  // Of what was written whole lines, and nothing of the old ones behind them.
  const std::size_t kept = written <= 0 ? 0 : common.rfind('\n', static_cast<std::size_t>(written) - 1) + 1;
  const bool cut = written >= 0 && ::ftruncate(file, static_cast<off_t>(kept)) == 0;
  ::close(file);
  return cut;
}

}  // namespace penstock::broker
