#include "ingest/webhook_signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace penstock::ingest {
namespace {

constexpr std::string_view kPrefix = "whsec_";
constexpr std::size_t kKeyBytesLeast = 24;
constexpr std::size_t kKeyBytesMost = 64;
constexpr std::size_t kPlainBytesLeast = 16;
constexpr std::size_t kPlainBytesMost = 128;
constexpr std::size_t kKeysMax = 4;

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::string text(4 * ((size + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string signature(const base::Secret& key, std::string_view content) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  const std::string_view bytes = key.reveal();
  HMAC(EVP_sha256(), bytes.data(), static_cast<int>(bytes.size()),
       reinterpret_cast<const unsigned char*>(content.data()), content.size(), mac, &size);
  return "v1," + base64(mac, size);
}

std::string id_of(std::string_view body) {
  constexpr std::size_t kBytes = 16;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(body.data(), body.size(), digest, &size, EVP_sha256(), nullptr);
  std::string id = "msg_";
  for (std::size_t i = 0; i < kBytes; ++i) id += fmt::format("{:02x}", digest[i]);
  return id;
}

}  // namespace

Result<base::Secret> WebhookSigner::key_of(const base::Secret& written) {
  std::string_view text = written.reveal();
  const auto refused = [] {
    return fail(Errc::invalid_argument,
                "a webhook's secret is whsec_ and 24 to 64 random bytes in base64, as of "
                "echo \"whsec_$(openssl rand -base64 32)\", or 16 to 128 characters");
  };
  if (!text.starts_with(kPrefix)) {
    if (text.size() < kPlainBytesLeast || text.size() > kPlainBytesMost) return refused();
    return written;
  }
  text.remove_prefix(kPrefix.size());
  std::string key(text.size(), '\0');
  const int length = text.empty() ? -1
                                  : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(key.data()),
                                                    reinterpret_cast<const unsigned char*>(text.data()),
                                                    static_cast<int>(text.size()));
  if (length < 0) return refused();
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  key.resize(static_cast<std::size_t>(length) - padding);
  base::Secret secret(std::move(key));
  if (secret.reveal().size() < kKeyBytesLeast || secret.reveal().size() > kKeyBytesMost) return refused();
  return secret;
}

std::vector<std::pair<std::string, std::string>> WebhookSigner::headers(std::string_view body, base::WallMicros now,
                                                                        std::string_view given_id) const {
  if (keys_.empty()) return {};
  std::string id = given_id.empty() ? id_of(body) : std::string(given_id);
  std::string time = std::to_string(now / 1'000'000);
  const std::string content = fmt::format("{}.{}.{}", id, time, body);
  std::string signatures;
  for (const base::Secret& key : keys_) signatures += (signatures.empty() ? "" : " ") + signature(key, content);
  return {{"webhook-id", std::move(id)},
          {"webhook-timestamp", std::move(time)},
          {"webhook-signature", std::move(signatures)}};
}

WebhookSigner read_webhook_signer(config::Map& map) {
  const config::Node node = map.get("secret");
  if (!node.present()) return WebhookSigner();
  std::vector<config::Node> nodes{node};
  if (node.kind() == config::Node::Kind::list) nodes = node.items();
  if (nodes.size() > kKeysMax) node.problem(fmt::format("at most {} secrets at a time", kKeysMax));
  std::vector<base::Secret> keys;
  for (const config::Node& one : nodes) {
    auto key = WebhookSigner::key_of(one.secret());
    if (!key) one.problem(key.error().detail);
    if (key) keys.push_back(std::move(*key));
  }
  return WebhookSigner(std::move(keys));
}

}  // namespace penstock::ingest
