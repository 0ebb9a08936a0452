#include <gtest/gtest.h>

#include "chat/base64.h"
#include "token/media_tokens.h"

namespace penstock::token {
namespace {

using namespace std::string_literals;

std::string png(std::uint32_t width, std::uint32_t height) {
  std::string bytes = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR"s;
  for (std::uint32_t side : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(side >> shift);
  }
  return bytes + "\x08\x06\0\0\0"s;
}

// SOI, a comment of `before` bytes, then the frame.
std::string jpeg(std::uint32_t width, std::uint32_t height, std::size_t before) {
  std::string bytes = "\xFF\xD8"s;
  for (; before > 0; before -= std::min<std::size_t>(before, 60000)) {
    std::size_t size = std::min<std::size_t>(before, 60000) + 2;
    bytes += "\xFF\xFE"s + static_cast<char>(size >> 8) + static_cast<char>(size) + std::string(size - 2, 'x');
  }
  bytes += "\xFF\xC0\0\x11\x08"s;
  for (std::uint32_t side : {height, width}) bytes += {static_cast<char>(side >> 8), static_cast<char>(side)};
  return bytes + "\x03\x01\x22\0";
}

void expect_size(std::string_view bytes, std::uint32_t width, std::uint32_t height) {
  auto size = image_size_of_base64(chat::write_base64(bytes));
  ASSERT_TRUE(size);
  EXPECT_EQ(size->width, width);
  EXPECT_EQ(size->height, height);
}

TEST(ImageSize, StandsInTheFirstBytes) {
  expect_size(png(1920, 1080), 1920, 1080);
  expect_size(jpeg(640, 480, 0), 640, 480);
  expect_size(jpeg(640, 480, 120000), 640, 480);
  expect_size("GIF89a\x40\x01\xC8\0\xF7"s, 320, 200);
  expect_size("RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\0\x9D\x01\x2A\x40\x01\xC8\0\0\0"s, 320, 200);
  expect_size("RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\x3F\x01\0\xC7\0\0\0\0"s, 320, 200);
  expect_size("RIFF\0\0\0\0WEBPVP8L\x0A\0\0\0\x2F\x3F\xC1\x31\0\0\0\0\0\0\0\0\0"s, 320, 200);
}

TEST(ImageSize, IsNothingElsewhere) {
  for (std::string bytes :
       {""s, "x"s, png(0, 5), png(7, 7).substr(0, 20), "\xFF\xD8\xFF\xD9"s, jpeg(5, 5, 0).substr(0, 9),
        "RIFF\0\0\0\0WEBP"s, "%PDF-1.7 and so on and so on"s, jpeg(5, 5, 300000)}) {
    EXPECT_FALSE(image_size_of_base64(chat::write_base64(bytes))) << bytes.substr(0, 8);
  }
  EXPECT_FALSE(image_size_of_base64("this is no base64 %%%"));
}

// The examples of OpenAI's guide.
TEST(ImageTokens, FollowThePublishedFormulas) {
  EXPECT_EQ(image_tokens(ImageSize{1024, 1024}, "high", "gpt-4o"), 765);
  EXPECT_EQ(image_tokens(ImageSize{2048, 4096}, "", "gpt-4o"), 1105);
  EXPECT_EQ(image_tokens(ImageSize{4096, 8192}, "low", "gpt-4o"), 85);
  EXPECT_EQ(image_tokens(ImageSize{512, 512}, "auto", "openai/gpt-4o-2024-08-06"), 255) << "never made larger";
  EXPECT_EQ(image_tokens(ImageSize{1024, 1024}, "high", "gpt-4o-mini"), 2833 + 4 * 5667);
  EXPECT_EQ(image_tokens(ImageSize{1024, 1024}, "high", "o1"), 75 + 4 * 150);
  EXPECT_EQ(image_tokens(ImageSize{1024, 1024}, "", "gpt-4.1-nano"), (1024 * 246 + 99) / 100);
  EXPECT_EQ(image_tokens(ImageSize{1800, 2400}, "", "gpt-4.1-mini"), (1452 * 162 + 99) / 100);
  EXPECT_EQ(image_tokens(std::nullopt, "high", "gpt-4o"), 85 + 8 * 170);
  EXPECT_EQ(image_tokens(ImageSize{1000, 750}, "", "claude-sonnet-4"), 1000);
  EXPECT_EQ(image_tokens(std::nullopt, "", "gemini-2.5-pro"), 1600);
  EXPECT_EQ(image_tokens(ImageSize{0xFFFFFFFF, 0xFFFFFFFF}, "", "other"), 1600);
  for (std::string_view model : {"gpt-4o", "gpt-4.1-mini", "x"}) {
    EXPECT_GT(image_tokens(ImageSize{1, 0xFFFFFFFF}, "", model), 0) << model;
    EXPECT_LT(image_tokens(ImageSize{1, 0xFFFFFFFF}, "", model), 4000) << model;
  }
}

TEST(MediaTokens, AreEstimatesForSoundsAndFiles) {
  using Kind = chat::Media::Kind;
  EXPECT_EQ(media_tokens({.kind = Kind::audio, .type = "audio/wav", .data = std::string(640000, 'A')}, "m"), 101);
  EXPECT_EQ(media_tokens({.kind = Kind::audio, .type = "audio/mpeg", .data = std::string(640000, 'A')}, "m"), 301);
  EXPECT_EQ(media_tokens({.kind = Kind::document, .file = "file-1"}, "m"), 1000);
  EXPECT_EQ(media_tokens({.kind = Kind::document, .data = std::string(640000, 'A')}, "m"), 30000);
  EXPECT_EQ(media_tokens({.kind = Kind::image, .data = chat::write_base64(png(512, 512))}, "gpt-4o"), 255);
}

}  // namespace
}  // namespace penstock::token
