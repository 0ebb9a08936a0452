#include "ext/sinks/http/http_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// Answers when told to.
class FakeHttp : public ingest::HttpPort {
 public:
  void post(rt::Loop&, ingest::HttpPost request, std::function<void(Result<int>)> done) override {
    requests.push_back(std::move(request));
    if (at_once != 0) return done(at_once);
    pending.push_back(std::move(done));
    if (on_post) on_post();
  }
  void answer(Result<int> with) {
    auto done = std::move(pending.at(0));
    pending.erase(pending.begin());
    done(std::move(with));
  }
  std::vector<ingest::HttpPost> requests;
  std::vector<std::function<void(Result<int>)>> pending;
  std::function<void()> on_post;
  int at_once = 0;
};

ingest::Sample sample(int n, bool with_alarm = false) {
  ingest::Sample out;
  out.device = "d";
  out.set("n", std::int64_t{n});
  if (with_alarm) out.alarm = std::make_shared<ingest::AlarmChange>();
  return out;
}

class HttpSinkTest : public testing::Test {
 protected:
  HttpSink& sink(HttpSinkOptions options) {
    options.url = "http://127.0.0.1/x";
    sink_ = std::make_unique<HttpSink>(std::move(options), &http_);
    EXPECT_TRUE(sink_->start(loop_));
    return *sink_;
  }
  // The `n` of each object of a body.
  static std::vector<std::int64_t> numbers(const std::string& body) {
    std::vector<std::int64_t> out;
    auto value = json::parse(body);
    if (!value) return out;
    if (const auto* array = value->if_array()) {
      for (const auto& item : *array) out.push_back(json::int_or(item, "n", -1));
    } else {
      out.push_back(json::int_or(*value, "n", -1));
    }
    return out;
  }

  rt::Loop loop_;
  FakeHttp http_;
  std::unique_ptr<HttpSink> sink_;
};

TEST_F(HttpSinkTest, SendsOneAtATimeInOrder) {
  HttpSink& out = sink({});
  for (int i = 0; i < 3; ++i) out.deliver(sample(i));
  ASSERT_EQ(http_.requests.size(), 1U);
  for (int i = 0; i < 3; ++i) http_.answer(200);
  ASSERT_EQ(http_.requests.size(), 3U);
  EXPECT_THAT(numbers(http_.requests[2].body), ElementsAre(2));
  EXPECT_EQ(out.status().messages, 3U);
  EXPECT_TRUE(out.status().connected);
}

TEST_F(HttpSinkTest, BatchesWhatWaits) {
  HttpSink& out = sink({.url = {}, .headers = {}, .batch = 3});
  for (int i = 0; i < 5; ++i) out.deliver(sample(i));
  http_.answer(204);
  http_.answer(204);
  ASSERT_EQ(http_.requests.size(), 3U);
  EXPECT_THAT(numbers(http_.requests[0].body), ElementsAre(0));
  EXPECT_THAT(numbers(http_.requests[1].body), ElementsAre(1, 2, 3));
  EXPECT_THAT(numbers(http_.requests[2].body), ElementsAre(4));
}

TEST_F(HttpSinkTest, ToleratesAnswersDuringTheCall) {
  http_.at_once = 200;
  HttpSink& out = sink({});
  for (int i = 0; i < 5; ++i) out.deliver(sample(i));
  EXPECT_EQ(out.status().messages, 5U);
}

class HttpSinkRetry : public testing::TestWithParam<int> {};

// 0 stands for a connection that failed.
TEST_P(HttpSinkRetry, TriesAgain) {
  FakeHttp http;
  rt::Loop loop;
  HttpSink out({.url = "http://127.0.0.1/x", .headers = {}}, &http);
  ASSERT_TRUE(out.start(loop));
  out.deliver(sample(1));
  http.on_post = [&] { loop.stop(); };
  http.answer(GetParam() == 0 ? Result<int>(fail(Errc::unavailable, "refused")) : Result<int>(GetParam()));
  EXPECT_FALSE(out.status().connected);
  EXPECT_EQ(http.requests.size(), 1U);
  rt::Timer deadline(loop);
  deadline.arm_in(5s, [&] { loop.stop(); });
  loop.run();
  ASSERT_EQ(http.requests.size(), 2U);
  EXPECT_EQ(http.requests[1].body, http.requests[0].body);
  http.answer(200);
  EXPECT_EQ(out.status().messages, 1U);
  EXPECT_EQ(out.status().dropped, 0U);
}

INSTANTIATE_TEST_SUITE_P(Failures, HttpSinkRetry, testing::Values(0, 408, 429, 500, 503));

TEST_F(HttpSinkTest, DropsWhatTheServerRefuses) {
  HttpSink& out = sink({});
  out.deliver(sample(1));
  out.deliver(sample(2));
  http_.answer(401);
  EXPECT_THAT(out.status().detail, HasSubstr("401"));
  ASSERT_EQ(http_.requests.size(), 2U);
  http_.answer(200);
  EXPECT_EQ(out.status().dropped, 1U);
  EXPECT_EQ(out.status().messages, 1U);
}

TEST_F(HttpSinkTest, DropsTheOldestOfAFullQueue) {
  HttpSink& out = sink({.url = {}, .headers = {}, .batch = 1000});
  for (int i = 0; i < 1003; ++i) out.deliver(sample(i));
  EXPECT_EQ(out.status().dropped, 2U);
  http_.answer(503);
  EXPECT_EQ(out.status().dropped, 3U);
  out.stop();
  EXPECT_EQ(out.status().dropped, 1003U);
}

TEST_F(HttpSinkTest, IgnoresAnswersAfterStop) {
  HttpSink& out = sink({});
  out.deliver(sample(1));
  out.stop();
  http_.answer(200);
  EXPECT_EQ(out.status().messages, 0U);
  EXPECT_EQ(out.status().dropped, 1U);
}

TEST_F(HttpSinkTest, SendsAlarmsWhenToldSo) {
  HttpSink& out = sink({.url = {}, .headers = {}, .samples = false, .alarms = true});
  out.deliver(sample(1));
  EXPECT_TRUE(http_.requests.empty());
  out.deliver(sample(2, true));
  ASSERT_EQ(http_.requests.size(), 1U);
  EXPECT_THAT(http_.requests[0].body, HasSubstr("\"raised\""));
}

TEST(HttpSinkConfiguration, ReadsHeadersAndReportsMistakes) {
  FakeHttp http;
  ingest::Context context;
  context.http = &http;
  const auto make = [&](const char* yaml, std::string& report) {
    auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
    EXPECT_TRUE(document);
    auto sink = make_http_sink("p", document->root().map().get("http"), context);
    report = document->report();
    return sink;
  };
  std::string report;
  auto good = make("http: { url: \"https://h/x\", headers: { Authorization: \"Bearer ${T}\" }, batch: 10 }", report);
  EXPECT_EQ(report, "");
  rt::Loop loop;
  ASSERT_TRUE(good->start(loop));
  good->deliver(sample(1));
  ASSERT_EQ(http.requests.size(), 1U);
  EXPECT_THAT(http.requests[0].headers, ElementsAre(testing::Pair("authorization", "Bearer s3cret"),
                                                    testing::Pair("content-type", "application/json")));
  EXPECT_EQ(http.requests[0].timeout, base::Duration(10s));
  make("http: { url: \"ftp://h\", headers: { \"a b\": x }, batch: 0, what: none }", report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 3) << report;
  make("http: { url: \"http://u:${P}@h/\" }", report);
  EXPECT_THAT(report, HasSubstr("no credentials"));
  EXPECT_EQ(report.find("s3cret"), std::string::npos);
  make("http: {}", report);
  EXPECT_THAT(report, HasSubstr("'url' is missing"));
}

}  // namespace
}  // namespace penstock::ext
