#include "token/image_size.h"

#include "chat/base64.h"

namespace penstock::token {
namespace {

constexpr std::size_t kHeadBytes = 96;
constexpr std::size_t kFarBytes = std::size_t{192} * 1024;

std::uint32_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }
std::uint32_t big16(std::string_view bytes, std::size_t at) { return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1); }
std::uint32_t little16(std::string_view bytes, std::size_t at) {
  return byte_at(bytes, at) | byte_at(bytes, at + 1) << 8;
}
std::uint32_t little24(std::string_view bytes, std::size_t at) {
  return little16(bytes, at) | byte_at(bytes, at + 2) << 16;
}
std::uint32_t big32(std::string_view bytes, std::size_t at) { return big16(bytes, at) << 16 | big16(bytes, at + 2); }

bool is_jpeg(std::string_view bytes) { return bytes.starts_with("\xFF\xD8\xFF"); }

// ITU-T T.81, annex B: segments until a start of frame.
ImageSize read_jpeg(std::string_view bytes) {
  std::size_t at = 2;
  while (at + 9 <= bytes.size() && byte_at(bytes, at) == 0xFF) {
    std::uint32_t marker = byte_at(bytes, at + 1);
    if (marker == 0xFF) {
      ++at;
      continue;
    }
    bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) return {big16(bytes, at + 7), big16(bytes, at + 5)};
    if (marker == 0xD9 || marker == 0xDA) return {};
    bool alone = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    at += alone ? 2 : 2 + std::max<std::size_t>(big16(bytes, at + 2), 2);
  }
  return {};
}

// RFC 9649: lossy, lossless or extended.
ImageSize read_webp(std::string_view bytes) {
  if (bytes.size() < 30) return {};
  std::string_view chunk = bytes.substr(12, 4);
  if (chunk == "VP8 ") return {little16(bytes, 26) & 0x3FFF, little16(bytes, 28) & 0x3FFF};
  if (chunk == "VP8X") return {little24(bytes, 24) + 1, little24(bytes, 27) + 1};
  if (chunk != "VP8L") return {};
  std::uint32_t bits = little16(bytes, 21) | little16(bytes, 23) << 16;
  return {(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1};
}

ImageSize read(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1A\n") && bytes.size() >= 24) return {big32(bytes, 16), big32(bytes, 20)};
  if ((bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) && bytes.size() >= 10) {
    return {little16(bytes, 6), little16(bytes, 8)};
  }
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return read_webp(bytes);
  return is_jpeg(bytes) ? read_jpeg(bytes) : ImageSize{};
}

std::optional<std::string> head_of(std::string_view base64, std::size_t bytes) {
  return chat::read_base64(base64.substr(0, bytes / 3 * 4));
}

}  // namespace

std::optional<ImageSize> read_image_size(std::string_view bytes) {
  ImageSize size = read(bytes);
  if (size.width == 0 || size.height == 0) return std::nullopt;
  return size;
}

std::optional<ImageSize> image_size_of_base64(std::string_view base64) {
  auto head = head_of(base64, kHeadBytes);
  if (!head) return std::nullopt;
  if (is_jpeg(*head)) head = head_of(base64, kFarBytes);
  return head ? read_image_size(*head) : std::nullopt;
}

}  // namespace penstock::token
