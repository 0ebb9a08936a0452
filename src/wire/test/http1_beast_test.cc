// Against another parser of another school: whatever ours accepts, Boost.Beast's must accept as the same message. Ours
// may refuse more.
#include <gtest/gtest.h>

// Beast asserts that some malformed chunks cannot be; here they are.
#define BOOST_DISABLE_ASSERTS
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "wire/test/accepted.h"
#include "wire/test/messages.h"
#include "wire/test/mutate.h"

namespace penstock::wire {
namespace {

namespace bhttp = boost::beast::http;
using Kind = Http1Parser::Kind;

template <bool IsRequest>
class Reference : public bhttp::basic_parser<IsRequest> {
 public:
  Reference() { this->eager(true); }
  Accepted message;

 private:
  using Text = boost::beast::string_view;
  static std::string_view view(Text text) { return {text.data(), text.size()}; }

  void on_request_impl(bhttp::verb, Text method, Text target, int version, boost::beast::error_code&) override {
    message.text = fmt::format("{} {} 0 {}\n", view(method), view(target), version % 10);
  }
  void on_response_impl(int status, Text, int version, boost::beast::error_code&) override {
    message.text = fmt::format("  {} {}\n", status, version % 10);
  }
  void on_field_impl(bhttp::field, Text name, Text value, boost::beast::error_code&) override {
    if (!this->is_header_done()) message.add_field(view(name), view(value));
  }
  void on_header_impl(boost::beast::error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, boost::beast::error_code&) override {}
  std::size_t on_body_impl(Text piece, boost::beast::error_code&) override {
    message.text += view(piece);
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t, Text, boost::beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text piece, boost::beast::error_code& error) override {
    return on_body_impl(piece, error);
  }
  void on_finish_impl(boost::beast::error_code&) override {}
};

template <bool IsRequest>
Accepted beast(std::string_view bytes) {
  Reference<IsRequest> parser;
  Accepted& message = parser.message;
  // It does not know the empty line that may stand before a request.
  if (IsRequest && bytes.starts_with("\r\n")) message.used = 2;
  boost::beast::error_code error;
  while (message.used < bytes.size() && !parser.is_done()) {
    std::size_t used =
        parser.put(boost::asio::const_buffer(bytes.data() + message.used, bytes.size() - message.used), error);
    message.used += used;
    if (error == bhttp::error::need_more && used > 0) error = {};
    if (error || used == 0) break;
  }
  if (!error && parser.got_some() && !parser.is_done()) parser.put_eof(error);
  message.accepted = !error && parser.is_done();
  if (!message.accepted) message.text += error.message();
  return message;
}

// HTTP/1.1 200 and nothing behind it: some servers send it, Beast does not know it.
constexpr std::size_t kNoReason = 12;

struct Tally {
  int accepted = 0;
  int stricter = 0;
  int refused = 0;
};

template <bool IsRequest>
Tally compare(unsigned seed, int rounds) {
  Kind kind = IsRequest ? Kind::request : Kind::response;
  Mutator mutator(IsRequest ? request_corpus() : response_corpus(), seed);
  Tally tally;
  int told = 0;
  for (int round = 0; round < rounds && told < 10; ++round) {
    std::string bytes = mutator.next();
    Accepted mine = accept(kind, bytes);
    if (!IsRequest && bytes.find("\r\n") == kNoReason) continue;
    Accepted theirs = beast<IsRequest>(bytes);
    if (!mine.accepted) {
      ++(theirs.accepted ? tally.stricter : tally.refused);
      continue;
    }
    ++tally.accepted;
    if (theirs.accepted && mine.text == theirs.text && mine.used == theirs.used) continue;
    ++told;
    ADD_FAILURE() << "accepted here, not there or not as the same:\n"
                  << bytes << "\n--- ours, " << mine.used << " bytes\n"
                  << mine.text << "\n--- Beast, " << theirs.used << " bytes, accepted " << theirs.accepted << "\n"
                  << theirs.text;
  }
  return tally;
}

void is_enough(const Tally& tally) {
  EXPECT_GT(tally.accepted, 50'000) << "too few to say anything";
  fmt::print("{} accepted by both, {} by Beast alone, {} by neither\n", tally.accepted, tally.stricter, tally.refused);
}

TEST(Http1Beast, AcceptsWhateverRequestWeAccept) { is_enough(compare<true>(1, 800'000)); }
TEST(Http1Beast, AcceptsWhateverAnswerWeAccept) { is_enough(compare<false>(2, 400'000)); }

}  // namespace
}  // namespace penstock::wire
