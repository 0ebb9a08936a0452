// Signatures of webhooks as Standard Webhooks 1.0 has them (symmetric, `v1`):
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "config/document.h"

namespace penstock::ingest {

// Immutable; any thread.
class WebhookSigner {
 public:
  // "whsec_" and 24 to 64 bytes in base64, or the key itself as 16 to 128 characters. The error never shows the secret.
  static Result<base::Secret> key_of(const base::Secret& written);

  // No keys: nothing is signed. More than one: a signature by each, so that a receiver may change over.
  explicit WebhookSigner(std::vector<base::Secret> keys = {}) : keys_(std::move(keys)) {}

  // webhook-id, webhook-timestamp and webhook-signature. Without `id` one is made of the body: a body that is sent
  // again has the same one.
  std::vector<std::pair<std::string, std::string>> headers(std::string_view body, base::WallMicros now,
                                                           std::string_view id = {}) const;

 private:
  std::vector<base::Secret> keys_;
};

// `secret: ${NAME}` or a list of them, new one first. Mistakes are reported on the key.
WebhookSigner read_webhook_signer(config::Map& map);

}  // namespace penstock::ingest
