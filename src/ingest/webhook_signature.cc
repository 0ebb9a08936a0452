#include "ingest/webhook_signature.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace penstock::ingest {
namespace {

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::string out((size + 2) / 3 * 4 + 1, '\0');
  int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes, static_cast<int>(size));
  out.resize(static_cast<std::size_t>(written));
  return out;
}

// Empty when it is none.
base::Secret from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return {};
  std::string out(text.size() / 4 * 3, '\0');
  int written = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (written < 0) return {};
  auto padding = static_cast<std::size_t>(std::count(text.end() - 2, text.end(), '='));
  out.resize(static_cast<std::size_t>(written) - padding);
  return base::Secret(std::move(out));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> webhook_headers(const base::Secret& secret, std::string_view id,
                                                                 base::WallMicros at, std::string_view body) {
  std::string seconds = std::to_string(at / 1'000'000);
  std::vector<std::pair<std::string, std::string>> headers{{"webhook-id", std::string(id)},
                                                           {"webhook-timestamp", seconds}};
  if (secret.empty()) return headers;
  constexpr std::string_view kMark = "whsec_";
  base::Secret decoded;
  if (secret.reveal().starts_with(kMark)) decoded = from_base64(secret.reveal().substr(kMark.size()));
  std::string_view key = decoded.empty() ? secret.reveal() : decoded.reveal();
  std::string message = fmt::format("{}.{}.{}", id, seconds, body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()),
       message.size(), digest.data(), &size);
  headers.emplace_back("webhook-signature", "v1," + base64(digest.data(), size));
  return headers;
}

}  // namespace penstock::ingest
