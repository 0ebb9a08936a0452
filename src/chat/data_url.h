// data: URLs (RFC 2397), as far as media in requests go.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::chat {

struct DataUrl {
  std::string_view type;  // without parameters; empty: not said
  std::string_view data;  // base64
};

// Nothing for a URL of another scheme and for data that is not in base64. Views of `url`.
std::optional<DataUrl> read_data_url(std::string_view url);
std::string write_data_url(std::string_view type, std::string_view data);

// The media type that the first bytes of base64 data show: png, jpeg, gif, webp, bmp, pdf, wav, mp3, ogg, flac, mp4.
// Empty when none of these.
std::string_view sniff_media_type(std::string_view base64);
// The media type of a file name's ending; empty when unknown.
std::string_view media_type_of_name(std::string_view name);

}  // namespace penstock::chat
