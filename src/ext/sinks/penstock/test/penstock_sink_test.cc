#include "ext/sinks/penstock/penstock_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/body_decoder.h"

namespace penstock::ext {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

class FakeHttp : public ingest::HttpPort {
 public:
  void post(rt::Loop&, ingest::HttpPost request, std::function<void(Result<int>)> done) override {
    requests.push_back(std::move(request));
    done(202);
  }
  std::vector<ingest::HttpPost> requests;
};

class PenstockSinkTest : public testing::Test {
 protected:
  std::unique_ptr<ingest::Sink> make(const std::string& yaml) {
    auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
    EXPECT_TRUE(document);
    config::Node kind = document->root().map().get("penstock");
    config::Map map = kind.map();
    ingest::Context context;
    context.http = &http_;
    auto sink = make_penstock_sink("p", kind, map, context);
    map.done();
    report_ = document->report();
    return sink;
  }
  ingest::Sent send(ingest::Sink& sink, std::vector<ingest::Sample> samples) {
    ingest::Sent result{.outcome = ingest::Sent::Outcome::refused};
    sink.send(std::make_shared<std::vector<ingest::Sample>>(std::move(samples)),
              [&](ingest::Sent sent) { result = std::move(sent); });
    return result;
  }
  static std::vector<ingest::Sample> samples(int count) {
    std::vector<ingest::Sample> out;
    for (int i = 0; i < count; ++i) {
      ingest::Sample& sample = out.emplace_back();
      sample.event_time = 1'769'860'800'000'000 + i;
      sample.device = "press";
      sample.set("n", std::int64_t{i}, "mm");
    }
    return out;
  }

  rt::Loop loop_;
  FakeHttp http_;
  std::string report_;
};

TEST_F(PenstockSinkTest, SendsWhatTheOtherSideReadsAsTheSame) {
  const char* const configs[] = {
      "penstock: { url: \"http://hub:8080/\", source: plant, key: \"${K}\" }",
      "penstock: { url: \"http://hub:8080\", source: plant, key: \"${K}\", format: ndjson, compress: gzip }",
      "penstock: { url: \"http://hub:8080\", source: plant, key: \"${K}\", compress: none }",
  };
  for (const char* yaml : configs) {
    auto sink = make(yaml);
    ASSERT_EQ(report_, "");
    ASSERT_TRUE(sink->start(loop_));
    const auto sent = samples(100);
    EXPECT_EQ(send(*sink, sent).outcome, ingest::Sent::Outcome::confirmed);
    const ingest::HttpPost& post = http_.requests.back();
    EXPECT_EQ(post.url, "http://hub:8080/ingest/plant");
    EXPECT_THAT(post.headers, Contains(Pair("authorization", "Bearer s3cret")));
    std::string body = post.body;
    std::string type;
    for (const auto& [name, value] : post.headers) {
      if (name == "content-type") type = value;
      if (name != "content-encoding") continue;
      EXPECT_LT(post.body.size(), 2'000U);
      auto codings = codec::parse_content_encoding(value);
      ASSERT_TRUE(codings);
      body = codec::decode_body(*codings, post.body, {}).value_or("");
    }
    auto read = ingest::samples_from(*ingest::format_of(type), body, {});
    ASSERT_TRUE(read) << read.error().detail;
    ASSERT_EQ(read->size(), sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(ingest::to_json((*read)[i]), ingest::to_json(sent[i]));
  }
}

TEST_F(PenstockSinkTest, ReportsMistakes) {
  make("penstock: { url: \"hub\", source: \"a/b\", format: xml }");
  EXPECT_THAT(report_, HasSubstr("http://host"));
  EXPECT_THAT(report_, HasSubstr("letters, digits"));
  EXPECT_THAT(report_, HasSubstr("xml"));
  make("penstock: { url: \"http://hub\" }");
  EXPECT_THAT(report_, HasSubstr("'source' is missing"));
}

}  // namespace
}  // namespace penstock::ext
