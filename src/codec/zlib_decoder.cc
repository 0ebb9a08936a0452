#include "codec/zlib_decoder.h"

namespace penstock::codec {
namespace {

constexpr int kWindowBits = 15;
constexpr int kGzip = kWindowBits + 16;

// RFC 1950 section 2.2: method 8, a window of at most 32 KiB, and a check over both bytes.
bool is_zlib_header(unsigned char first, unsigned char second) {
  return (first & 0x0F) == 8 && (first >> 4) <= 7 && (first * 256 + second) % 31 == 0;
}

}  // namespace

ZlibDecoder::ZlibDecoder(Coding coding) : gzip_(coding == Coding::gzip) {
  ready_ = gzip_ && inflateInit2(&stream_, kGzip) == Z_OK;
}

ZlibDecoder::~ZlibDecoder() {
  if (ready_) inflateEnd(&stream_);
}

std::unexpected<Error> ZlibDecoder::malformed(std::string_view why) const {
  return fail(Errc::invalid_argument, fmt::format("the {} data is malformed: {}", gzip_ ? "gzip" : "deflate", why));
}

// deflate: true once the format is known and zlib stands ready.
bool ZlibDecoder::choose_format(std::string_view& input) {
  if (!have_first_) {
    first_ = input.front();
    have_first_ = true;
    input.remove_prefix(1);
  }
  if (input.empty()) return false;
  bool wrapped = is_zlib_header(static_cast<unsigned char>(first_), static_cast<unsigned char>(input.front()));
  ready_ = inflateInit2(&stream_, wrapped ? kWindowBits : -kWindowBits) == Z_OK;
  return ready_;
}

Result<std::size_t> ZlibDecoder::decode(std::string_view& input, std::span<char> out) {
  if (!ready_) {
    if (gzip_) return fail(Errc::internal, "zlib could not start");
    if (input.empty()) return 0;
    if (!choose_format(input)) {
      if (input.empty()) return 0;
      return fail(Errc::internal, "zlib could not start");
    }
    std::string_view first(&first_, 1);
    auto none = inflate_some(first, out);  // one byte makes no output
    if (!none) return none;
  }
  return inflate_some(input, out);
}

Result<std::size_t> ZlibDecoder::inflate_some(std::string_view& input, std::span<char> out) {
  std::size_t written = 0;
  while (written < out.size()) {
    if (ended_) {
      if (input.empty()) break;
      if (!gzip_) return malformed("bytes follow its end");
      inflateReset(&stream_);
      ended_ = false;
    }
    constexpr std::size_t kPieceMax = 1U << 30;
    auto in_size = std::min(input.size(), kPieceMax);
    auto out_size = std::min(out.size() - written, kPieceMax);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(in_size);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream_.avail_out = static_cast<uInt>(out_size);
    int status = inflate(&stream_, Z_NO_FLUSH);
    std::size_t took = in_size - stream_.avail_in;
    std::size_t made = out_size - stream_.avail_out;
    input.remove_prefix(took);
    written += made;
    if (status == Z_STREAM_END) {
      ended_ = true;
      continue;
    }
    if (status == Z_BUF_ERROR || (status == Z_OK && took == 0 && made == 0)) break;  // needs more input
    if (status == Z_MEM_ERROR) return fail(Errc::internal, "zlib ran out of memory");
    if (status != Z_OK) return malformed(stream_.msg == nullptr ? "it is broken" : stream_.msg);
    if (input.empty() && stream_.avail_out > 0) break;
  }
  return written;
}

}  // namespace penstock::codec
