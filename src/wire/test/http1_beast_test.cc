// Against another parser of another school: whatever ours accepts, Boost.Beast's must accept as the same message. Ours
// may refuse more.
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "wire/test/messages.h"
#include "wire/test/mutate.h"

namespace penstock::wire {
namespace {

namespace bhttp = boost::beast::http;
using Kind = Http1Parser::Kind;

struct Message {
  bool accepted = false;
  bool trailers_refused = false;  // it judges trailers as if they were part of the head; they are dropped here
  std::size_t used = 0;
  std::string text;  // method, target, status, fields and body

  void add_field(std::string_view name, std::string_view value) { text += fmt::format("{}:{}\n", name, value); }
};

Message ours(Kind kind, std::string_view bytes) {
  Http1Parser parser(kind, {});
  Message message;
  std::string body;
  while (message.used < bytes.size() && !parser.message_done()) {
    auto used = parser.feed(bytes.substr(message.used), body);
    if (!used) return message;
    message.used += *used;
  }
  message.accepted = parser.finish();
  if (!message.accepted) return message;
  const Http1Head& head = parser.head();
  message.text = fmt::format("{} {} {} {}\n", head.method, head.target, head.status, head.version_minor);
  for (std::size_t i = 0; i < head.fields.size(); ++i)
    message.add_field(head.fields.at(i).name, head.fields.at(i).value);
  message.text += body;
  return message;
}

template <bool IsRequest>
class Reference : public bhttp::basic_parser<IsRequest> {
 public:
  Reference() { this->eager(true); }
  Message message;

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
Message beast(std::string_view bytes) {
  Reference<IsRequest> parser;
  Message& message = parser.message;
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
  if (!error && !parser.is_done()) parser.put_eof(error);
  message.accepted = !error && parser.is_done();
  message.trailers_refused =
      parser.is_header_done() && (error == bhttp::error::bad_content_length ||
                                  error == bhttp::error::bad_transfer_encoding || error == bhttp::error::bad_value);
  if (!message.accepted) message.text += error.message();
  return message;
}

// HTTP/1.1 200 and nothing behind it: some servers send it, Beast does not know it.
constexpr std::size_t kNoReason = 12;

struct Tally {
  int accepted = 0;
  int stricter = 0;
  int refused = 0;
  int trailers = 0;
};

template <bool IsRequest>
Tally compare(unsigned seed, int rounds) {
  Kind kind = IsRequest ? Kind::request : Kind::response;
  Mutator mutator(IsRequest ? request_corpus() : response_corpus(), seed);
  Tally tally;
  int told = 0;
  for (int round = 0; round < rounds && told < 10; ++round) {
    std::string bytes = mutator.next();
    Message mine = ours(kind, bytes);
    if (!IsRequest && bytes.find("\r\n") == kNoReason) continue;
    Message theirs = beast<IsRequest>(bytes);
    if (!mine.accepted) {
      ++(theirs.accepted ? tally.stricter : tally.refused);
      continue;
    }
    ++tally.accepted;
    if (theirs.accepted && mine.text == theirs.text && mine.used == theirs.used) continue;
    if (theirs.trailers_refused) {
      ++tally.trailers;
      continue;
    }
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
  EXPECT_LT(tally.trailers, tally.accepted / 10);
  fmt::print(
      "{} accepted by both, {} by Beast alone, {} by neither, {} where it does not know what to do with trailers\n",
      tally.accepted - tally.trailers, tally.stricter, tally.refused, tally.trailers);
}

TEST(Http1Beast, AcceptsWhateverRequestWeAccept) { is_enough(compare<true>(1, 800'000)); }
TEST(Http1Beast, AcceptsWhateverAnswerWeAccept) { is_enough(compare<false>(2, 400'000)); }

}  // namespace
}  // namespace penstock::wire
