#include "wire/websocket_handshake.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "wire/chars.h"
#include "wire/fields.h"

namespace penstock::wire {
namespace {

std::string base64(const unsigned char* bytes, int size) {
  std::string text(static_cast<std::size_t>((size + 2) / 3 * 4) + 1, '\0');
  int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, size);
  text.resize(static_cast<std::size_t>(written));
  return text;
}

}  // namespace

bool list_holds(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    while (!item.empty() && is_blank(item.front())) item.remove_prefix(1);
    while (!item.empty() && is_blank(item.back())) item.remove_suffix(1);
    if (equal_ignoring_case(item, token)) return true;
  }
  return false;
}

bool is_websocket_key(std::string_view key) {
  auto letter = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, letter);
}

std::string new_websocket_key() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return base64(bytes.data(), static_cast<int>(bytes.size()));
}

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64(digest.data(), static_cast<int>(size));
}

}  // namespace penstock::wire
