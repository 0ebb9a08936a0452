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

void add_listener(const BrokerConfig& config, std::string& out) {
  out += fmt::format("listener {} {}\nmax_connections {}\n", config.port, config.host, config.connections_max);
  if (!config.tls) return;
  out += fmt::format("certfile {}\nkeyfile {}\ntls_version tlsv1.2\n", config.tls->cert, config.tls->key);
  if (config.tls->client_ca.empty()) return;
  out += fmt::format("cafile {}\nrequire_certificate true\nuse_identity_as_username true\n", config.tls->client_ca);
}

void add_filters(const char* verb, const std::vector<std::string>& filters, std::string& out) {
  for (const std::string& filter : filters) out += fmt::format("topic {} {}\n", verb, filter);
}

Error system_error(std::string_view what, const std::string& path) {
  return {Errc::unavailable, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

}  // namespace

std::string settings_text(const BrokerConfig& config, const BrokerFiles& files) {
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
      "max_packet_size {}\nmax_queued_messages {}\nmax_inflight_messages 1000\nset_tcp_nodelay true\n"
      "sys_interval 2\n",
      config.message_bytes_max + kPacketHead, config.queued_max);
  out += fmt::format("listener 0 {}\n", files.socket());
  add_listener(config, out);
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
    out += fmt::format("user {}\n", user.name);
    add_filters("write", user.publish, out);
    add_filters("read", user.subscribe, out);
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

Result<bool> replace_file(const std::string& path, const std::string& text) {
  {
    std::ifstream before(path, std::ios::binary);
    const std::string found{std::istreambuf_iterator<char>(before), {}};
    if (before && found == text) return false;
  }
  auto written = base::write_whole(path, text, 0600, true);
  if (!written) return std::unexpected(written.error());
  return true;
}

}  // namespace penstock::broker
