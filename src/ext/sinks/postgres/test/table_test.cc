#include "ext/sinks/postgres/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ext/sinks/postgres/postgres_sink.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;

TEST(PostgresTable, WritesRowsThatAreJson) {
  const PostgresTable table("plant.readings", {{"temperature", "temp", "double precision"}}, "gw/p");
  ingest::Sample sample;
  sample.event_time = 1'769'860'800'000'000;
  sample.device = "p\"1\n";
  sample.quality = ingest::Quality::uncertain;
  sample.sequence = 7;
  sample.set("temp", 21.5);
  sample.set("nan", std::nan(""));
  sample.set("vib", std::vector<double>{1, 2.5});
  sample.set("on", true);
  sample.tags.emplace_back("line", "A");
  const std::string rows = table.rows({sample, sample, sample}, 1, 3);
  auto value = json::parse(rows);
  ASSERT_TRUE(value) << rows;
  ASSERT_EQ(value->get_array().size(), 2U);
  EXPECT_EQ(
      json::dump(value->get_array()[0]),
      R"({"time":"2026-01-31T12:00:00.000Z","device":"p\"1\n","quality":"uncertain",)"
      R"("fields":{"nan":null,"vib":[1,2.5E0],"on":true},"tags":{"line":"A"},"origin":"gw/p","seq":7,"temperature":2.15E1})");
  sample.sequence = 0;
  EXPECT_EQ(table.rows({sample}, 0, 1).find("seq"), std::string::npos);
}

TEST(PostgresTable, QuotesEveryName) {
  const PostgresTable table("s.a\"b", {{"c;d", "f", "text"}}, "o");
  EXPECT_THAT(table.insert_statement(), HasSubstr(R"(INSERT INTO "s"."a""b" ("time")"));
  EXPECT_THAT(table.insert_statement(), HasSubstr(R"("c;d")"));
  EXPECT_THAT(table.create_statements().front(), HasSubstr(R"(, "c;d" text))"));
}

TEST(PostgresSinkConfiguration, ReportsMistakesAndNoSecret) {
  const auto report = [](const char* yaml) {
    auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
    EXPECT_TRUE(document);
    config::Node kind = document->root().map().get("postgres");
    config::Map map = kind.map();
    make_postgres_sink("p", kind, map, {});
    map.done();
    return document->report();
  };
  EXPECT_EQ(
      report(
          "postgres: { url: \"postgresql://u@h:5432/db?sslmode=require\", password: \"${P}\", columns: { t: temp } }"),
      "");
  EXPECT_THAT(report("postgres: { url: \"mysql://h\" }"), HasSubstr("postgresql://user@host"));
  for (const char* url : {"postgresql://u:${P}@h/db", "postgres://h/db?password=${P}"}) {
    const std::string text = report(fmt::format("postgres: {{ url: \"{}\" }}", url).c_str());
    EXPECT_THAT(text, HasSubstr("password: ${PGPASSWORD}"));
    EXPECT_EQ(text.find("s3cret"), std::string::npos);
  }
  EXPECT_THAT(report("postgres: { url: \"postgres://h/d\", columns: { time: t } }"), HasSubstr("every table has"));
  EXPECT_THAT(report("postgres: { url: \"postgres://h/d\", columns: { x: { field: t, type: int } } }"),
              HasSubstr("int"));
  EXPECT_THAT(report("postgres: {}"), HasSubstr("'url' is missing"));
}

}  // namespace
}  // namespace penstock::ext
