// What Mosquitto reads: its settings, the passwords and the access list, in the folder `broker` of the data folder.
#pragma once

#include <string>
#include <vector>

#include "broker/broker_config.h"

namespace penstock::broker {

struct BrokerFiles {
  explicit BrokerFiles(const std::string& data_dir) : folder(data_dir + "/broker") {}

  std::string settings() const { return folder + "/mosquitto.conf"; }
  std::string passwords() const { return folder + "/passwords"; }
  std::string access() const { return folder + "/acl"; }
  std::string client_ca() const { return folder + "/client_ca.pem"; }
  std::string socket() const { return folder + "/own.sock"; }    // the gateway's own way in
  std::string own_name() const { return folder + "/own_name"; }  // its user name, which nobody else knows

  const std::string folder;
};

// The gateway's own authority for devices. With it as `client_ca`, in whatever file, each certificate is a user of its
// own (BrokerUser::certificates), so that one can be taken back while its device has others.
struct OwnAuthority {
  std::string folder;  // empty: there is none

  std::string trusted() const { return folder + "/trust.pem"; }
  std::string current() const { return folder + "/ca.pem"; }  // the newest of them; stands for all
  std::string revoked() const { return folder + "/ca.crl"; }
};

struct BrokerSettings {
  std::string text;
  // The authorities of others that were looked at, for BrokerFiles::client_ca(): what is in the file that the
  // configuration names may be another's in the next moment. Empty: the text names none.
  std::string client_ca;
};

// Errors: failed_precondition, when `client_ca` holds the gateway's own authority beside others: Mosquitto would take
// the certificates of both for users alike, by a common name that one which was taken back has too, or none without a
// list of its authority's. unavailable: it cannot be read, or stands for nobody.
Result<BrokerSettings> settings_of(const BrokerConfig& config, const BrokerFiles& files, const OwnAuthority& own = {});
// The texts of the other files. Users must have been checked.
std::string passwords_text(const std::vector<BrokerUser>& users);
std::string access_text(const std::vector<BrokerUser>& users, bool allow_anonymous);

// Makes the folder, for this user only. Errors: it cannot be made, or is not a folder of ours; a path too long for a
// local socket.
Result<void> make_folder(const BrokerFiles& files);
// The user name of the gateway itself. Nobody can guess it, so that no certificate, device or user has it; the same
// after a restart, for sessions that outlive one are kept with it. Made when there is none. Errors: the disk.
Result<std::string> load_own_name(const BrokerFiles& files);
// `before` with `#` in place of each letter of every line that `after` does not have for the same user too: rules that
// give nobody more than either, and of the same size, so that a part of them that is written narrows too.
std::string common_rules(std::string_view before, std::string_view after);
// Replaces the file at once; readable by this user only. Whether it changed. Errors: the disk.
Result<bool> replace_file(const std::string& path, const std::string& text);
// For a disk that has no room for the new rules: takes out of the file, in its place and without moving anything, what
// the new ones do not give any more. Whether it changed.
bool narrow_file(const std::string& path, const std::string& text);

}  // namespace penstock::broker
