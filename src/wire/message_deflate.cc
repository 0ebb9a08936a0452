#include "wire/message_deflate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace penstock::wire {
namespace {

// Every message ends with an empty stored block whose last four bytes are left out (RFC 7692 section 7.2.1).
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);
constexpr std::size_t kPieceBytes = 16 * 1024;
// Blocks of a message that are marked as the last of a stream: going on after one copies the window.
constexpr int kFinalBlocksMax = 16;

Bytef* input_of(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

std::array<char, kPieceBytes>& scratch() {
  thread_local std::array<char, kPieceBytes> bytes;
  return bytes;
}

}  // namespace

// A window of the largest size decodes messages made with any.
MessageInflater::MessageInflater() { ready_ = inflateInit2(&stream_, -15) == Z_OK; }

MessageInflater::~MessageInflater() {
  if (ready_) inflateEnd(&stream_);
}

MessageInflater& MessageInflater::of_thread() {
  thread_local MessageInflater inflater;
  return inflater;
}

// A block marked as the last of a stream ends the stream for zlib, but not the message (RFC 7692 section 7.2.3.4):
// starts anew with what the next blocks may refer to.
bool MessageInflater::restart_with_window() {
  if (++restarts_ > kFinalBlocksMax) return false;
  std::array<Bytef, 32768> window;
  auto size = static_cast<uInt>(window.size());
  if (inflateGetDictionary(&stream_, window.data(), &size) != Z_OK) return false;
  return inflateReset(&stream_) == Z_OK && (size == 0 || inflateSetDictionary(&stream_, window.data(), size) == Z_OK);
}

// True when `coded` ended together with a stream: nothing is open that the tail would have to close.
Result<bool> MessageInflater::feed(std::string_view coded, std::string& out, std::uint64_t bytes_max) {
  stream_.next_in = input_of(coded);
  stream_.avail_in = static_cast<uInt>(coded.size());
  auto& piece = scratch();
  while (true) {
    stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream_.avail_out = static_cast<uInt>(piece.size());
    int status = inflate(&stream_, Z_SYNC_FLUSH);
    std::size_t made = piece.size() - stream_.avail_out;
    if (made > bytes_max - std::min<std::uint64_t>(out.size(), bytes_max))
      return fail(Errc::out_of_range, fmt::format("the message decodes to more than {} bytes", bytes_max));
    out.append(piece.data(), made);
    if (status == Z_STREAM_END) {
      if (!restart_with_window()) return fail(Errc::invalid_argument, "the compressed message ends again and again");
      if (stream_.avail_in == 0) return true;
      continue;
    }
    if (status == Z_BUF_ERROR || (status == Z_OK && stream_.avail_out > 0 && stream_.avail_in == 0)) return false;
    if (status != Z_OK) return fail(Errc::invalid_argument, "the compressed message is no DEFLATE data");
  }
}

Result<void> MessageInflater::decode(std::string_view coded, std::string& out, std::uint64_t bytes_max, bool forget) {
  if (!ready_) return fail(Errc::internal, "zlib could not start");
  restarts_ = 0;
  auto fed = feed(coded, out, bytes_max);
  if (fed && !*fed) fed = feed(kTail, out, bytes_max);
  if (forget || !fed) inflateReset(&stream_);
  if (!fed) return std::unexpected(fed.error());
  return {};
}

// Level 1 and a small hash: of what JSON shrinks to, the first level gives most at a third of the work.
MessageDeflater::MessageDeflater(int window_bits) {
  constexpr int kMemoryLevel = 8;
  ready_ = deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, -window_bits, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK;
}

MessageDeflater::~MessageDeflater() {
  if (ready_) deflateEnd(&stream_);
}

MessageDeflater& MessageDeflater::of_thread(int window_bits) {
  thread_local std::array<std::unique_ptr<MessageDeflater>, 16> deflaters;
  auto& deflater = deflaters[static_cast<std::size_t>(window_bits)];
  if (!deflater) deflater = std::make_unique<MessageDeflater>(window_bits);
  return *deflater;
}

bool MessageDeflater::encode(std::string_view message, std::string& out, bool forget) {
  if (!ready_) return false;
  std::size_t before = out.size();
  stream_.next_in = input_of(message);
  stream_.avail_in = static_cast<uInt>(message.size());
  auto& piece = scratch();
  int status = Z_OK;
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream_.avail_out = static_cast<uInt>(piece.size());
    status = deflate(&stream_, Z_SYNC_FLUSH);
    out.append(piece.data(), piece.size() - stream_.avail_out);
  } while (status == Z_OK && stream_.avail_out == 0);
  if (forget) deflateReset(&stream_);
  bool ended = std::string_view(out).substr(before).ends_with(kTail);
  if (status == Z_STREAM_ERROR || !ended) {
    out.resize(before);
    return false;
  }
  out.resize(out.size() - kTail.size());
  return true;
}

}  // namespace penstock::wire
