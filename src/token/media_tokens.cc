#include "token/media_tokens.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "token/models.h"

namespace penstock::token {
namespace {

constexpr std::int64_t kUnknown = 1000;
// The most that a picture has: 2048 by 768 pixels in tiles; by its area.
constexpr std::int64_t kTilesMax = 8, kByAreaMax = 1600;

// Tokens of an image: base, and for each tile of 512 pixels; or hundredths of a token for each patch of 32 pixels.
struct Price {
  std::string_view model;
  std::int64_t base = 0;
  std::int64_t tile = 0;
  std::int64_t patch = 0;
};

// OpenAI's guide "Images and vision", "Calculating costs"; the first that fits counts.
constexpr auto kPrices = std::to_array<Price>({
    {.model = "gpt-4.1-mini", .patch = 162},
    {.model = "gpt-4.1-nano", .patch = 246},
    {.model = "gpt-5-mini", .patch = 162},
    {.model = "gpt-5-nano", .patch = 246},
    {.model = "o4-mini", .patch = 172},
    {.model = "gpt-4o-mini", .base = 2833, .tile = 5667},
    {.model = "computer-use-preview", .base = 65, .tile = 129},
    {.model = "gpt-5", .base = 70, .tile = 140},
    {.model = "o1", .base = 75, .tile = 150},
    {.model = "o3", .base = 75, .tile = 150},
    {.model = "gpt-4", .base = 85, .tile = 170},
    {.model = "gpt-4o", .base = 85, .tile = 170},
    {.model = "chatgpt-4o", .base = 85, .tile = 170},
});

// Fits into 2048 by 2048, then the shorter side into 768; never made larger.
std::int64_t tiles_of(ImageSize size) {
  double width = size.width, height = size.height;
  double scale = std::min(1.0, 2048 / std::max(width, height));
  scale *= std::min(1.0, 768 / (scale * std::min(width, height)));
  auto across = [&](double side) {
    return static_cast<std::int64_t>(std::ceil(std::max(side * scale, 1.0) / 512 - 1e-9));
  };
  return across(width) * across(height);
}

constexpr std::int64_t kPatchesMax = 1536;

// Larger images shrink until their patches fit, by whole patches of the side that has more of a part left over.
std::int64_t patches_of(ImageSize size) {
  double width = size.width / 32.0, height = size.height / 32.0;
  if (std::ceil(width) * std::ceil(height) <= kPatchesMax) {
    return static_cast<std::int64_t>(std::ceil(width) * std::ceil(height));
  }
  double scale = std::sqrt(kPatchesMax / (width * height));
  scale *= std::min(std::floor(width * scale) / (width * scale), std::floor(height * scale) / (height * scale));
  double patches = std::ceil(width * scale - 1e-9) * std::ceil(height * scale - 1e-9);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(patches), 1, kPatchesMax);
}

std::int64_t tokens_by(const Price& price, std::optional<ImageSize> size, std::string_view detail) {
  if (price.patch != 0) return (price.patch * (size ? patches_of(*size) : kPatchesMax) + 99) / 100;
  if (detail == "low") return price.base;
  return price.base + price.tile * (size ? tiles_of(*size) : kTilesMax);
}

// Bytes of sound in a second: pictures of them differ by their coding.
std::int64_t sound_tokens(std::int64_t bytes, std::string_view type) {
  constexpr std::int64_t kPlain = 48000, kCoded = 16000, kTokens = 10;
  bool plain = type.ends_with("wav") || type.ends_with("pcm16") || type.ends_with("l16");
  return bytes * kTokens / (plain ? kPlain : kCoded) + 1;
}

}  // namespace

std::int64_t image_tokens(std::optional<ImageSize> size, std::string_view detail, std::string_view model) {
  model = bare_model(model);
  for (const Price& price : kPrices) {
    if (is_of(model, price.model)) return tokens_by(price, size, detail);
  }
  if (!size) return kByAreaMax;
  double area = static_cast<double>(size->width) * size->height;
  return static_cast<std::int64_t>(std::clamp(area / 750, 1.0, double{kByAreaMax}));
}

std::int64_t media_tokens(const chat::Media& media, std::string_view model) {
  auto bytes = static_cast<std::int64_t>(media.data.size() / 4 * 3);
  switch (media.kind) {
    case chat::Media::Kind::image:
      return image_tokens(media.data.empty() ? std::nullopt : image_size_of_base64(media.data), media.detail, model);
    case chat::Media::Kind::audio: return bytes == 0 ? kUnknown : sound_tokens(bytes, media.type);
    case chat::Media::Kind::document: return std::max(kUnknown, bytes / 16);
    case chat::Media::Kind::video: return std::max(kUnknown, bytes / 1000);
  }
  return kUnknown;
}

}  // namespace penstock::token
