#include "codec/decoder.h"

#include <brotli/decode.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec/zlib_decoder.h"

namespace penstock::codec {
namespace {

class BrotliDecoder : public Decoder {
 public:
  BrotliDecoder() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {}
  ~BrotliDecoder() override { BrotliDecoderDestroyInstance(state_); }
  BrotliDecoder(const BrotliDecoder&) = delete;
  BrotliDecoder& operator=(const BrotliDecoder&) = delete;

  Result<std::size_t> decode(std::string_view& input, std::span<char> out) override {
    if (state_ == nullptr) return fail(Errc::internal, "brotli could not start");
    if (complete()) {
      if (input.empty()) return 0;
      return fail(Errc::invalid_argument, "the br data is malformed: bytes follow its end");
    }
    auto next_in = reinterpret_cast<const std::uint8_t*>(input.data());
    auto next_out = reinterpret_cast<std::uint8_t*>(out.data());
    std::size_t left_in = input.size();
    std::size_t left_out = out.size();
    auto result = BrotliDecoderDecompressStream(state_, &left_in, &next_in, &left_out, &next_out, nullptr);
    input.remove_prefix(input.size() - left_in);
    if (result == BROTLI_DECODER_RESULT_ERROR) {
      return fail(Errc::invalid_argument, fmt::format("the br data is malformed: {}",
                                                      BrotliDecoderErrorString(BrotliDecoderGetErrorCode(state_))));
    }
    if (complete() && !input.empty())
      return fail(Errc::invalid_argument, "the br data is malformed: bytes follow its end");
    return out.size() - left_out;
  }
  bool complete() const override { return BrotliDecoderIsFinished(state_) != 0; }

 private:
  BrotliDecoderState* state_;
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    // RFC 9659: a window of 8 MiB is all that a receiver has to offer.
    if (context_ != nullptr) ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 23);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  Result<std::size_t> decode(std::string_view& input, std::span<char> out) override {
    if (context_ == nullptr) return fail(Errc::internal, "zstd could not start");
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    ZSTD_inBuffer source{input.data(), input.size(), 0};
    while (target.pos < target.size && (source.pos < source.size || !complete_)) {
      std::size_t before = source.pos + target.pos;
      std::size_t status = ZSTD_decompressStream(context_, &target, &source);
      if (ZSTD_isError(status) != 0) {
        bool window = ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge;
        return fail(
            Errc::invalid_argument,
            window
                ? std::string("the zstd data needs a window larger than 8 MiB (RFC 9659); code it with a smaller one")
                : fmt::format("the zstd data is malformed: {}", ZSTD_getErrorName(status)));
      }
      // 0: a frame ended and all of it is out. More frames may follow.
      if (source.pos + target.pos == before) break;
      complete_ = status == 0;
    }
    input.remove_prefix(source.pos);
    return target.pos;
  }
  bool complete() const override { return complete_; }

 private:
  ZSTD_DCtx* context_;
  bool complete_ = false;
};

}  // namespace

std::unique_ptr<Decoder> Decoder::make(Coding coding) {
  switch (coding) {
    case Coding::br: return std::make_unique<BrotliDecoder>();
    case Coding::zstd: return std::make_unique<ZstdDecoder>();
    default: return std::make_unique<ZlibDecoder>(coding);
  }
}

}  // namespace penstock::codec
