#include "codec/body_decoder.h"

namespace penstock::codec {

BodyDecoder::BodyDecoder(std::span<const Coding> codings, DecodeLimits limits) : limits_(limits) {
  for (auto coding = codings.rbegin(); coding != codings.rend(); ++coding)
    layers_.push_back({Decoder::make(*coding), 0});
}

Result<void> BodyDecoder::feed(std::string_view bytes, std::string& out) {
  encoded_ += bytes.size();
  return run(0, bytes, out);
}

Result<void> BodyDecoder::within_limits(std::size_t index) const {
  std::uint64_t decoded = layers_[index].decoded;
  if (index + 1 == layers_.size() && decoded > limits_.bytes_max) {
    return fail(Errc::out_of_range,
                fmt::format("the decoded body is larger than the limit of {} bytes", limits_.bytes_max));
  }
  if (decoded > limits_.ratio_floor_bytes && decoded / limits_.ratio_max >= std::max(encoded_, limits_.encoded_bytes)) {
    return fail(Errc::out_of_range,
                fmt::format("the body grows more than {} times when it is decoded; send it without content-encoding",
                            limits_.ratio_max));
  }
  return {};
}

Result<void> BodyDecoder::run(std::size_t index, std::string_view bytes, std::string& out) {
  Layer& layer = layers_[index];
  bool last = index + 1 == layers_.size();
  std::array<char, 16 * 1024> piece;
  while (true) {
    auto made = layer.decoder->decode(bytes, piece);
    if (!made) return std::unexpected(made.error());
    layer.decoded += *made;
    if (auto fits = within_limits(index); !fits) return fits;
    std::string_view decoded(piece.data(), *made);
    if (last) {
      out += decoded;
    } else if (!decoded.empty()) {
      if (auto passed = run(index + 1, decoded, out); !passed) return passed;
    }
    if (*made < piece.size() && bytes.empty()) return {};
  }
}

Result<void> BodyDecoder::finish() const {
  bool whole =
      std::all_of(layers_.begin(), layers_.end(), [](const Layer& layer) { return layer.decoder->complete(); });
  if (whole || encoded_ == 0) return {};
  return fail(Errc::data_loss, "the coded body ends before its end");
}

Result<std::string> decode_body(std::span<const Coding> codings, std::string_view body, DecodeLimits limits) {
  BodyDecoder decoder(codings, limits);
  std::string out;
  if (auto fed = decoder.feed(body, out); !fed) return std::unexpected(fed.error());
  if (auto ended = decoder.finish(); !ended) return std::unexpected(ended.error());
  return out;
}

}  // namespace penstock::codec
