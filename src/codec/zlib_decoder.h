// gzip and deflate, over zlib.
#pragma once

#include <zlib.h>

#include "codec/decoder.h"

namespace penstock::codec {

class ZlibDecoder : public Decoder {
 public:
  // gzip: members follow one another (RFC 1952 section 2.2). deflate: the zlib format, and the bare one that some send
  // under that name; the first two bytes tell.
  explicit ZlibDecoder(Coding coding);
  ~ZlibDecoder() override;
  ZlibDecoder(const ZlibDecoder&) = delete;
  ZlibDecoder& operator=(const ZlibDecoder&) = delete;

  Result<std::size_t> decode(std::string_view& input, std::span<char> out) override;
  bool complete() const override { return ended_; }

 private:
  bool choose_format(std::string_view& input);
  Result<std::size_t> inflate_some(std::string_view& input, std::span<char> out);
  std::unexpected<Error> malformed(std::string_view why) const;

  const bool gzip_;
  z_stream stream_{};
  bool ready_ = false;  // the format is known
  bool ended_ = false;  // a member (gzip) or the stream ended with its checksum right
  char first_ = 0;      // deflate: held until the second byte shows the format
  bool have_first_ = false;
};

}  // namespace penstock::codec
