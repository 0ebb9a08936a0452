#include "codec/encoder.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

namespace penstock::codec {
namespace {

std::unexpected<Error> no_memory() { return fail(Errc::internal, "there was no memory to compress the answer"); }

// HTTP's "deflate" is the zlib format (RFC 9110 section 8.4.1.2); 16 more bits of window ask for gzip's.
constexpr int kZlibBits = 15;
constexpr int kGzipBits = kZlibBits + 16;

Result<std::string> encode_zlib(std::string_view body, int bits) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) return no_memory();
  std::string out(deflateBound(&stream, body.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  int status = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) return no_memory();
  return out;
}

Result<std::string> encode_brotli(std::string_view body) {
  // 4 MiB of window: what a receiver has to keep while it decodes.
  constexpr int kQuality = 4;
  constexpr int kWindowBits = 22;
  std::string out(BrotliEncoderMaxCompressedSize(body.size()), '\0');
  std::size_t size = out.size();
  if (BrotliEncoderCompress(kQuality, kWindowBits, BROTLI_MODE_TEXT, body.size(),
                            reinterpret_cast<const std::uint8_t*>(body.data()), &size,
                            reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_FALSE) {
    return no_memory();
  }
  out.resize(size);
  return out;
}

Result<std::string> encode_zstd(std::string_view body) {
  std::string out(ZSTD_compressBound(body.size()), '\0');
  std::size_t size = ZSTD_compress(out.data(), out.size(), body.data(), body.size(), 3);
  if (ZSTD_isError(size) != 0) return no_memory();
  out.resize(size);
  return out;
}

}  // namespace

Result<std::string> encode_body(Coding coding, std::string_view body) {
  // zlib counts in 32 bits.
  if (body.size() > (1U << 30)) return fail(Errc::out_of_range, "more than 1 GiB is not compressed at once");
  switch (coding) {
    case Coding::gzip: return encode_zlib(body, kGzipBits);
    case Coding::deflate: return encode_zlib(body, kZlibBits);
    case Coding::br: return encode_brotli(body);
    case Coding::zstd: return encode_zstd(body);
    default: return fail(Errc::unimplemented, fmt::format("bodies are not coded as {} here", name_of(coding)));
  }
}

}  // namespace penstock::codec
