#include "ext/sinks/http/http_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using Outcome = ingest::Sent::Outcome;

// Answers when told to.
class FakeHttp : public ingest::HttpPort {
 public:
  void post(rt::Loop&, ingest::HttpPost request, std::function<void(Result<int>)> done) override {
    requests.push_back(std::move(request));
    pending.push_back(std::move(done));
  }
  void answer(Result<int> with) {
    auto done = std::move(pending.at(0));
    pending.erase(pending.begin());
    done(std::move(with));
  }
  std::vector<ingest::HttpPost> requests;
  std::vector<std::function<void(Result<int>)>> pending;
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
  void make(HttpSinkOptions options) {
    options.url = "http://127.0.0.1/x";
    sink_ = std::make_unique<HttpSink>(std::move(options), &http_, clock_);
    EXPECT_TRUE(sink_->start(loop_));
  }
  void send(std::vector<ingest::Sample> samples) {
    sink_->send(std::make_shared<std::vector<ingest::Sample>>(std::move(samples)),
                [this](ingest::Sent sent) { answers_.push_back(std::move(sent)); });
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
  base::FakeClock clock_;
  FakeHttp http_;
  std::unique_ptr<HttpSink> sink_;
  std::vector<ingest::Sent> answers_;
};

TEST_F(HttpSinkTest, SendsOneObjectOrAnArrayInOrder) {
  make({});
  EXPECT_EQ(sink_->batch_max(), 1U);
  EXPECT_EQ(sink_->in_flight_max(), 1U);
  send({sample(7)});
  EXPECT_THAT(numbers(http_.requests[0].body), ElementsAre(7));
  EXPECT_EQ(http_.requests[0].body.front(), '{');
  make({.url = {}, .headers = {}, .batch = 3});
  EXPECT_EQ(sink_->batch_max(), 3U);
  send({sample(1), sample(2)});
  EXPECT_THAT(numbers(http_.requests[1].body), ElementsAre(1, 2));
  send({sample(3)});
  EXPECT_EQ(http_.requests[2].body.front(), '[');
}

struct Answer {
  int status;  // 0: no connection
  Outcome outcome;
};
class HttpSinkAnswer : public HttpSinkTest, public testing::WithParamInterface<Answer> {};

TEST_P(HttpSinkAnswer, MeansWhatItSays) {
  make({});
  send({sample(1)});
  EXPECT_TRUE(answers_.empty()) << "nothing is confirmed before the answer";
  const int status = GetParam().status;
  http_.answer(status == 0 ? Result<int>(fail(Errc::unavailable, "refused")) : Result<int>(status));
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_EQ(answers_[0].outcome, GetParam().outcome);
  const bool confirmed = GetParam().outcome == Outcome::confirmed;
  EXPECT_EQ(answers_[0].why.empty(), confirmed);
  EXPECT_EQ(sink_->status().messages, confirmed ? 1U : 0U);
  if (status > 299) EXPECT_THAT(sink_->status().detail, HasSubstr(std::to_string(status)));
}

INSTANTIATE_TEST_SUITE_P(All, HttpSinkAnswer,
                         testing::Values(Answer{200, Outcome::confirmed}, Answer{204, Outcome::confirmed},
                                         Answer{0, Outcome::again}, Answer{307, Outcome::again},
                                         Answer{401, Outcome::again}, Answer{404, Outcome::again},
                                         Answer{408, Outcome::again}, Answer{429, Outcome::again},
                                         Answer{500, Outcome::again}, Answer{503, Outcome::again},
                                         Answer{400, Outcome::refused}, Answer{413, Outcome::refused},
                                         Answer{422, Outcome::refused}));

// As the outlet does it: what was not taken is sent next. Answers as `status` says of the numbers in a request.
std::vector<std::int64_t> carry(ingest::Sink& sink, FakeHttp& http, std::vector<ingest::Sample> samples,
                                const std::function<int(const std::string& body)>& status,
                                std::vector<std::int64_t>* refused) {
  std::vector<std::int64_t> order;
  std::size_t requests = 0;
  while (!samples.empty() && requests++ < 1'000) {
    ingest::Sent answer;
    sink.send(std::make_shared<std::vector<ingest::Sample>>(samples),
              [&](ingest::Sent sent) { answer = std::move(sent); });
    http.answer(status(http.requests.back().body));
    if (answer.outcome == Outcome::refused) answer.rejected = {0};
    const std::size_t taken = std::min(answer.taken.value_or(samples.size()), samples.size());
    for (std::size_t i = 0; i < taken; ++i) {
      const auto n = std::get<std::int64_t>(samples[i].find("n")->value);
      const bool no = std::find(answer.rejected.begin(), answer.rejected.end(), i) != answer.rejected.end();
      (no ? *refused : order).push_back(n);
    }
    samples.erase(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  return order;
}

std::vector<ingest::Sample> counted(int count) {
  std::vector<ingest::Sample> out;
  for (int i = 0; i < count; ++i) out.push_back(sample(i));
  return out;
}

TEST_F(HttpSinkTest, OneThatIsRefusedCostsItsNeighboursNothing) {
  for (const int status : {400, 413, 422}) {
    make({.url = {}, .headers = {}, .batch = 500});
    std::vector<std::int64_t> refused;
    auto order = carry(
        *sink_, http_, counted(500),
        [&](const std::string& body) {
          for (const auto n : numbers(body)) {
            if (n == 123) return status;
          }
          return 200;
        },
        &refused);
    EXPECT_THAT(refused, ElementsAre(123));
    ASSERT_EQ(order.size(), 499U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST_F(HttpSinkTest, SendsFewerWhereThePeerTakesNoMore) {
  make({.url = {}, .headers = {}, .batch = 500});
  std::vector<std::int64_t> refused;
  auto order = carry(
      *sink_, http_, counted(500), [](const std::string& body) { return body.size() > 2'000 ? 413 : 200; }, &refused);
  EXPECT_EQ(order.size(), 500U);
  EXPECT_TRUE(refused.empty());
}

TEST_F(HttpSinkTest, BoundsTheBytesOfARequest) {
  make({.url = {}, .headers = {}, .batch = 500, .batch_bytes = 1'000});
  std::vector<std::int64_t> refused;
  auto samples = counted(200);
  samples[50].set("text", std::string(5'000, 'x'));
  auto order = carry(
      *sink_, http_, std::move(samples),
      [](const std::string& body) {
        EXPECT_TRUE(body.size() <= 1'000 || numbers(body).size() == 1) << body.size();
        return 200;
      },
      &refused);
  EXPECT_EQ(order.size(), 200U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(HttpSinkTest, AnswersNothingAfterStop) {
  make({});
  send({sample(1)});
  sink_->stop();
  http_.answer(200);
  EXPECT_TRUE(answers_.empty());
  EXPECT_EQ(sink_->status().messages, 0U);
}

TEST_F(HttpSinkTest, SendsAlarmsWhenToldSo) {
  make({.url = {}, .headers = {}, .samples = false, .alarms = true});
  send({sample(1)});
  EXPECT_TRUE(http_.requests.empty());
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_EQ(answers_[0].outcome, Outcome::confirmed);
  send({sample(2, true)});
  ASSERT_EQ(http_.requests.size(), 1U);
  EXPECT_THAT(http_.requests[0].body, HasSubstr("\"raised\""));
}

std::string header(const ingest::HttpPost& post, std::string_view name) {
  for (const auto& [key, value] : post.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST_F(HttpSinkTest, SignsTheBodyWithItsIdAndTime) {
  auto key = ingest::WebhookSigner::key_of(base::Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
  ASSERT_TRUE(key) << key.error().detail;
  make({.url = {}, .headers = {}, .signer = ingest::WebhookSigner({*key, *key})});
  send({sample(1)});
  http_.answer(503);
  clock_.advance(5s);
  send({sample(1)});
  http_.answer(200);
  send({sample(2)});
  EXPECT_EQ(header(http_.requests[0], "webhook-id"), header(http_.requests[1], "webhook-id"));
  EXPECT_NE(header(http_.requests[0], "webhook-id"), header(http_.requests[2], "webhook-id"));
  EXPECT_NE(header(http_.requests[0], "webhook-timestamp"), header(http_.requests[1], "webhook-timestamp"));
  const std::string both = header(http_.requests[0], "webhook-signature");
  const std::size_t half = both.size() / 2;
  EXPECT_TRUE(both.starts_with("v1,"));
  EXPECT_EQ(both.substr(0, half), both.substr(half + 1));
}

// Computed with Python's hmac module.
TEST(WebhookSignature, IsWhatOthersCompute) {
  auto key = ingest::WebhookSigner::key_of(base::Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
  ASSERT_TRUE(key);
  const auto headers = ingest::WebhookSigner({*key}).headers("{\"n\":1}", 1'700'000'000'900'000);
  EXPECT_THAT(headers,
              ElementsAre(testing::Pair("webhook-id", "msg_2bfd14f43d17fc7cea24e0917a8879b4"),
                          testing::Pair("webhook-timestamp", "1700000000"),
                          testing::Pair("webhook-signature", "v1,9nJH+s5dR+zsovGfPmI25brAJeT9mRznTqolx2rWaEw=")));
}

TEST(WebhookSignature, RefusesSecretsThatAreNone) {
  for (const char* written : {"", "whsec_", "plain", "whsec_c2hvcnQ=", "whsec_!!!!"}) {
    auto key = ingest::WebhookSigner::key_of(base::Secret(written));
    ASSERT_FALSE(key) << written;
    EXPECT_THAT(key.error().detail, HasSubstr("openssl rand"));
  }
}

TEST(HttpSinkConfiguration, ReadsHeadersAndReportsMistakes) {
  FakeHttp http;
  ingest::Context context;
  context.http = &http;
  context.clock = &base::system_clock();
  const auto make = [&](const char* yaml, std::string& report) {
    auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
    EXPECT_TRUE(document);
    config::Node kind = document->root().map().get("http");
    config::Map map = kind.map();
    auto sink = make_http_sink("p", kind, map, context);
    map.done();
    report = document->report();
    return sink;
  };
  std::string report;
  auto good = make("http: { url: \"https://h/x\", headers: { Authorization: \"Bearer ${T}\" }, batch: 10 }", report);
  EXPECT_EQ(report, "");
  rt::Loop loop;
  ASSERT_TRUE(good->start(loop));
  good->send(std::make_shared<std::vector<ingest::Sample>>(1, sample(1)), [](const ingest::Sent&) {});
  ASSERT_EQ(http.requests.size(), 1U);
  EXPECT_THAT(http.requests[0].headers, ElementsAre(testing::Pair("authorization", "Bearer s3cret"),
                                                    testing::Pair("content-type", "application/json")));
  EXPECT_EQ(http.requests[0].timeout, base::Duration(10s));
  make("http: { url: \"ftp://h\", headers: { \"a b\": x }, batch: 0, what: none }", report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 3) << report;
  make("http: { url: \"http://u:${P}@h/\" }", report);
  EXPECT_THAT(report, HasSubstr("no credentials"));
  EXPECT_EQ(report.find("s3cret"), std::string::npos);
  make("http: { url: \"http://h/\", secret: \"${P}\" }", report);
  EXPECT_THAT(report, HasSubstr("whsec_"));
  EXPECT_EQ(report.find("s3cret"), std::string::npos);
  make("http: {}", report);
  EXPECT_THAT(report, HasSubstr("'url' is missing"));
}

}  // namespace
}  // namespace penstock::ext
