#include "codec/body_decoder.h"

namespace penstock::codec {

BodyDecoder::BodyDecoder(std::span<const Coding> codings, DecodeLimits limits) : limits_(limits) {
  for (auto coding = codings.rbegin(); coding != codings.rend(); ++coding)
    layers_.emplace_back().decoder = Decoder::make(*coding);
}

Result<void> BodyDecoder::feed(std::string_view bytes, std::string& out) {
  auto fed = feed_some(bytes, out, SIZE_MAX);
  if (!fed) return std::unexpected(fed.error());
  return {};
}

Result<bool> BodyDecoder::feed_some(std::string_view& bytes, std::string& out, std::size_t out_max) {
  encoded_ += bytes.size();
  auto stopped = run(0, bytes, out, out_max);
  encoded_ -= bytes.size();
  return stopped;
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

// What the layer gave goes to the one within. True when that stopped.
Result<bool> BodyDecoder::pass_on(std::size_t index, std::string& out, std::size_t out_max) {
  std::string& passed = layers_[index].passed;
  std::string_view left = passed;
  auto stopped = run(index + 1, left, out, out_max);
  passed.erase(0, passed.size() - left.size());
  return stopped;
}

Result<bool> BodyDecoder::run(std::size_t index, std::string_view& bytes, std::string& out, std::size_t out_max) {
  Layer& layer = layers_[index];
  bool last = index + 1 == layers_.size();
  std::array<char, 16 * 1024> piece;
  while (true) {
    if (!last) {
      auto stopped = pass_on(index, out, out_max);
      if (!stopped || *stopped) return stopped;
    }
    if (bytes.empty() && layer.dry) return false;
    if (out.size() >= out_max) return true;
    auto made = layer.decoder->decode(bytes, piece);
    if (!made) return std::unexpected(made.error());
    layer.decoded += *made;
    layer.dry = *made < piece.size();
    if (auto fits = within_limits(index); !fits) return std::unexpected(fits.error());
    (last ? out : layer.passed).append(piece.data(), *made);
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
