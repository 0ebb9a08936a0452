#include "http/body_codec.h"

#include "codec/encoder.h"
#include "rt/attempt.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kQueueMax = 64;
// Bytes fed at once while it is not known yet whether the body is a large one.
constexpr std::size_t kFirstBytes = 4 * 1024;

// A body being decoded, as it moves from the core to a thread.
struct Decoding {
  codec::BodyDecoder decoder;
  std::string_view left;
  std::string out;

  Result<std::string> finish() {
    if (auto fed = decoder.feed(left, out); !fed) return std::unexpected(fed.error());
    if (auto ended = decoder.finish(); !ended) return std::unexpected(ended.error());
    return std::move(out);
  }
};

}  // namespace

rt::Pool& BodyCodec::pool() {
  std::call_once(started_, [this] { pool_ = std::make_unique<rt::Pool>("compression", kThreads, kQueueMax); });
  return *pool_;
}

rt::Task<Result<std::string>> BodyCodec::offload(rt::Loop& loop, Work work) {
  using Done = std::function<void(Result<std::string>)>;
  rt::Pool& threads = pool();
  rt::Callback<Result<std::string>> result(loop, [&threads, &loop, &work](Done done) {
    auto safe = [work = std::move(work)] { return rt::attempt(work); };
    auto taken = threads.run(loop, std::move(safe), done);
    if (!taken) done(std::unexpected(taken.error()));
  });
  co_return co_await result;
}

rt::Task<Result<std::string>> BodyCodec::decode(rt::Loop& loop, std::vector<codec::Coding> codings,
                                                std::string_view body, std::uint64_t bytes_max) {
  codec::DecodeLimits limits;
  limits.bytes_max = bytes_max;
  limits.encoded_bytes = body.size();
  auto decoding = std::make_shared<Decoding>(Decoding{codec::BodyDecoder(codings, limits), body, {}});
  while (body.size() <= kInlineBytesMax && decoding->left.size() > kFirstBytes &&
         decoding->out.size() <= kInlineBytesMax) {
    auto fed = decoding->decoder.feed(decoding->left.substr(0, kFirstBytes), decoding->out);
    if (!fed) co_return std::unexpected(fed.error());
    decoding->left.remove_prefix(kFirstBytes);
  }
  if (decoding->left.size() <= kFirstBytes) co_return decoding->finish();
  Work rest = [decoding] { return decoding->finish(); };
  co_return co_await offload(loop, std::move(rest));
}

rt::Task<Result<std::string>> BodyCodec::encode(rt::Loop& loop, codec::Coding coding, std::string_view body) {
  if (body.size() <= kInlineBytesMax) co_return codec::encode_body(coding, body);
  Work work = [coding, body] { return codec::encode_body(coding, body); };
  co_return co_await offload(loop, std::move(work));
}

}  // namespace penstock::http
