#include "http/coded_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/encoder.h"
#include "http/test/fake_exchange.h"

namespace penstock::http {
namespace {

using codec::Coding;
using testing::HasSubstr;

std::string json_of(std::size_t size) {
  std::string body = "[";
  for (std::uint32_t i = 0; body.size() < size; ++i) body += fmt::format("{{\"n\":{}}},", (i * 2654435761U) >> 8);
  return body + "0]";
}

class CodedExchangeTest : public testing::Test {
 protected:
  Result<std::string> read(std::string body, std::string_view coding, std::uint64_t bytes_max = 1U << 30) {
    FakeExchange inner(loop_, "POST", "/", std::move(body));
    if (!coding.empty()) inner.field("content-encoding", coding);
    CodedExchange exchange(inner, codec_, compression_);
    Result<std::string> result;
    run(reading(exchange, bytes_max, result));
    return result;
  }
  // The answer as it went out.
  void answer(FakeExchange& inner, int status, std::string_view type, std::string_view body, bool coded = false,
              std::string_view cache_control = "no-cache") {
    CodedExchange exchange(inner, codec_, compression_);
    ResponseHead head(status);
    head.add("content-type", type).add("cache-control", cache_control);
    if (coded) head.add("content-encoding", "gzip");
    run(answering(exchange, std::move(head), body));
  }
  static std::string decoded(const FakeExchange& inner) {
    auto codings = codec::parse_content_encoding(inner.answer_field("content-encoding")).value();
    return codec::decode_body(codings, inner.answer(), {}).value();
  }

  rt::Loop loop_;
  BodyCodec codec_;
  Compression compression_;

 private:
  void run(rt::Task<void> task) {
    rt::spawn(std::move(task), [this] { loop_.stop(); });
    rt::Timer patience(loop_);
    patience.arm_in(std::chrono::seconds(10), [this] { loop_.stop(); });
    loop_.run();
  }
  static rt::Task<void> reading(CodedExchange& exchange, std::uint64_t bytes_max, Result<std::string>& result) {
    auto body = co_await exchange.read_body(bytes_max);
    if (body) {
      result = std::string(*body);
    } else {
      result = std::unexpected(body.error());
    }
  }
  static rt::Task<void> answering(CodedExchange& exchange, ResponseHead head, std::string_view body) {
    auto sent = co_await exchange.respond(std::move(head), body);
    EXPECT_TRUE(sent);
  }
};

TEST_F(CodedExchangeTest, APlainBodyPassesAsItIs) {
  EXPECT_EQ(read("hello", "").value(), "hello");
  EXPECT_EQ(read("hello", "identity").value(), "hello");
}

TEST_F(CodedExchangeTest, ACodedBodyIsRead) {
  for (std::size_t size : {10UL, 3000UL, 70'000UL, 2'000'000UL}) {
    std::string body = json_of(size);
    for (Coding coding : {Coding::gzip, Coding::br, Coding::zstd}) {
      EXPECT_EQ(read(codec::encode_body(coding, body).value(), codec::name_of(coding)).value(), body) << size;
    }
  }
  std::string twice = codec::encode_body(Coding::gzip, codec::encode_body(Coding::br, "hello").value()).value();
  EXPECT_EQ(read(twice, "br, gzip").value(), "hello");
}

TEST_F(CodedExchangeTest, WhatCannotBeDecodedSaysWhy) {
  std::string coded = codec::encode_body(Coding::gzip, json_of(5000)).value();
  EXPECT_EQ(read(coded, "lzma").error().code, Errc::unimplemented);
  EXPECT_EQ(read("not gzip", "gzip").error().code, Errc::invalid_argument);
  EXPECT_EQ(read(coded.substr(0, coded.size() - 4), "gzip").error().code, Errc::invalid_argument);
  EXPECT_EQ(read(coded, "gzip", 4000).error().code, Errc::out_of_range);
  std::string bomb = codec::encode_body(Coding::zstd, std::string(10'000'000, ' ')).value();
  EXPECT_EQ(read(bomb, "zstd").error().code, Errc::out_of_range);
}

TEST_F(CodedExchangeTest, AnAnswerIsCodedAsTheClientLikesIt) {
  for (std::size_t size : {3000UL, 500'000UL}) {
    std::string body = json_of(size);
    FakeExchange inner(loop_);
    inner.field("accept-encoding", "gzip, br;q=0.9");
    answer(inner, 200, "application/json", body);
    EXPECT_EQ(inner.answer_field("content-encoding"), "gzip");
    EXPECT_EQ(inner.answer_field("vary"), "accept-encoding");
    EXPECT_LT(inner.answer().size(), body.size());
    EXPECT_EQ(decoded(inner), body);
  }
}

TEST_F(CodedExchangeTest, AnErrorIsCodedTooAndCachesAreToldWhenItIsNot) {
  std::string body = json_of(3000);
  FakeExchange coded(loop_);
  coded.field("accept-encoding", "zstd");
  answer(coded, 400, "application/problem+json; charset=utf-8", body);
  EXPECT_EQ(coded.answer_field("content-encoding"), "zstd");
  FakeExchange plain(loop_);
  answer(plain, 200, "text/html", body);
  EXPECT_EQ(plain.answer_field("content-encoding"), "");
  EXPECT_EQ(plain.answer_field("vary"), "accept-encoding");
  EXPECT_EQ(plain.answer(), body);
}

struct Untouched {
  std::string_view why;
  std::string_view method = "POST";
  int status = 200;
  std::string_view type = "application/json";
  std::size_t size = 3000;
  bool coded = false;
  std::string_view cache_control = "private";
};

class LeavesAlone : public CodedExchangeTest, public testing::WithParamInterface<Untouched> {};

TEST_P(LeavesAlone, WhatIsNotForCoding) {
  const Untouched& given = GetParam();
  std::string body = json_of(given.size);
  FakeExchange inner(loop_, std::string(given.method));
  inner.field("accept-encoding", "gzip, br, zstd");
  answer(inner, given.status, given.type, body, given.coded, given.cache_control);
  EXPECT_EQ(inner.answer(), body) << given.why;
  EXPECT_EQ(inner.answer_field("content-encoding"), given.coded ? "gzip" : "") << given.why;
}

INSTANTIATE_TEST_SUITE_P(
    Answers, LeavesAlone,
    testing::Values(Untouched{.why = "small", .size = 2000}, Untouched{.why = "an answer to HEAD", .method = "HEAD"},
                    Untouched{.why = "304", .status = 304},
                    Untouched{.why = "events", .type = "text/event-stream; charset=utf-8"},
                    Untouched{.why = "sound", .type = "audio/mpeg"},
                    Untouched{.why = "tensors", .type = "application/octet-stream"},
                    Untouched{.why = "no type", .type = ""},
                    Untouched{.why = "not to be changed", .cache_control = "public , No-Transform,max-age=5"},
                    Untouched{.why = "coded before", .coded = true}));

TEST_F(CodedExchangeTest, TheConfigurationDecides) {
  std::string body = json_of(3000);
  compression_.codings = {Coding::gzip};
  FakeExchange only_gzip(loop_);
  only_gzip.field("accept-encoding", "gzip, br, zstd");
  answer(only_gzip, 200, "application/json", body);
  EXPECT_EQ(only_gzip.answer_field("content-encoding"), "gzip");
  compression_.responses = false;
  FakeExchange off(loop_);
  off.field("accept-encoding", "gzip, br, zstd");
  answer(off, 200, "application/json", body);
  EXPECT_EQ(off.answer(), body);
}

}  // namespace
}  // namespace penstock::http
