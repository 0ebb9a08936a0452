// Signed POSTs, as https://www.standardwebhooks.com describes them: the receiver computes HMAC-SHA256 over
// "ID.TIMESTAMP.BODY" and compares.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"

namespace penstock::ingest {

// Headers webhook-id, webhook-timestamp (seconds) and, with a secret, webhook-signature ("v1,BASE64"). A secret that
// begins with "whsec_" is Base64 of the key, any other one is the key itself.
std::vector<std::pair<std::string, std::string>> webhook_headers(const base::Secret& secret, std::string_view id,
                                                                 base::WallMicros at, std::string_view body);

}  // namespace penstock::ingest
