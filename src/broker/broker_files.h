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
  std::string socket() const { return folder + "/own.sock"; }  // the gateway's own way in

  const std::string folder;
};

// The texts of the files. Users must have been checked.
std::string settings_text(const BrokerConfig& config, const BrokerFiles& files);
std::string passwords_text(const std::vector<BrokerUser>& users);
std::string access_text(const std::vector<BrokerUser>& users, bool allow_anonymous);

// Makes the folder, for this user only. Errors: it cannot be made, or is not a folder of ours; a path too long for a
// local socket.
Result<void> make_folder(const BrokerFiles& files);
// Replaces the file at once; readable by this user only. Whether it changed. Errors: the disk.
Result<bool> replace_file(const std::string& path, const std::string& text);

}  // namespace penstock::broker
