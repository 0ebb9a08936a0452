#include "broker/broker_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/secret.h"
#include "base/whole_file.h"

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

bool is_own(const std::string& path, const OwnAuthority& own) {
  if (own.folder.empty()) return false;
  std::error_code ignored;
  const auto meant = std::filesystem::weakly_canonical(path, ignored);
  return meant == std::filesystem::weakly_canonical(own.trusted(), ignored) ||
         meant == std::filesystem::weakly_canonical(own.current(), ignored);
}

void add_listener(const BrokerConfig& config, const OwnAuthority& own, std::string& out) {
  out += fmt::format("listener {} {}\nmax_connections {}\n", config.port, config.host, config.connections_max);
  if (!config.tls) return;
  out += fmt::format("certfile {}\nkeyfile {}\ntls_version tlsv1.2\n", config.tls->cert, config.tls->key);
  if (config.tls->client_ca.empty()) return;
  const bool ours = is_own(config.tls->client_ca, own);
  out += fmt::format("cafile {}\nrequire_certificate true\n", ours ? own.trusted() : config.tls->client_ca);
  if (!ours) {
    out += "use_identity_as_username true\n";
    return;
  }
  // Mosquitto reads the list with every reload, but authorities only when it is started: others are other settings.
  out += fmt::format("use_subject_as_username true\ncrlfile {}\n# authorities {}\n", own.revoked(),
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

std::string settings_text(const BrokerConfig& config, const BrokerFiles& files, const OwnAuthority& own) {
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
  add_listener(config, own, out);
  return out;
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

}  // namespace penstock::broker
