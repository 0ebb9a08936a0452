// A client id that a broker knows us by again after a restart, and that no other gateway has.
#pragma once

#include <string>

#include "base/result.h"
#include "mqtt/options.h"

namespace penstock::mqtt {

// penstock-TOKEN-NAME; the token is in the file mqtt_client_id of the data folder, which is made when it is not there.
// Blocks on the disk. Errors: the folder cannot be read or written.
Result<std::string> stable_client_id(const Identity& identity);

}  // namespace penstock::mqtt
