#include "app/admin_shape.h"

#include <gmock/gmock.h>

#include "app/admin_desk.h"

namespace penstock::app {
namespace {

using testing::HasSubstr;

std::string wrong(std::string_view text, std::string_view name = "NewKey") {
  auto body = read_body(text, shape(name));
  return body ? "" : body.error().detail;
}

Errc code_of(std::string_view text) { return read_body(text, shape("NewKey")).error().code; }

TEST(AdminShape, TakesWhatItKnows) {
  auto body =
      read_body(R"({"name":"app","models":["chat*","!x"],"labels":{"a":"b"},"limits":{"rpm":60,"requests":["10/s"]},
                            "budget":["5USD/day",{"amount":"50USD","per":"month"}],"expires":null})",
                shape("NewKey"));
  ASSERT_TRUE(body) << body.error().detail;
  EXPECT_EQ(body->size(), 6U);
  EXPECT_TRUE(read_body("", shape("Nothing")));
  EXPECT_TRUE(read_body("{}", shape("KeyChange")));
}

TEST(AdminShape, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "7", "null", "{", "{\"name\":\"a\"}x", "name: app", "{'name':'a'}"})
    EXPECT_FALSE(read_body(text, shape("NewKey"))) << text;
  EXPECT_EQ(code_of("{"), Errc::protocol_error);
  EXPECT_EQ(code_of("[]"), Errc::protocol_error);
  EXPECT_EQ(code_of("{}"), Errc::invalid_argument);
  std::string deep(1000, '[');
  EXPECT_EQ(code_of(deep), Errc::protocol_error);
}

TEST(AdminShape, SaysWhichFieldIsWrongAndWhatToWrite) {
  EXPECT_THAT(wrong(R"({"name":"a","modles":[]})"), HasSubstr("'modles' is not known; did you mean 'models'?"));
  EXPECT_THAT(wrong(R"({"models":[]})"), HasSubstr("'name' is missing"));
  EXPECT_THAT(wrong(R"({"name":7})"), HasSubstr("'name' has to be a string"));
  EXPECT_THAT(wrong(R"({"name":null})"), HasSubstr("'name' has to be a string"));
  EXPECT_THAT(wrong(R"({"name":"a","models":"chat"})"), HasSubstr("'models' has to be a list of strings"));
  EXPECT_THAT(wrong(R"({"name":"a","can":["fly"]})"), HasSubstr("there is no 'fly'; choose from: chat, tools"));
  EXPECT_THAT(wrong(R"({"name":"a","limits":{"rpm":-1}})"),
              HasSubstr("'limits.rpm' has to be a whole number between 1"));
  EXPECT_THAT(wrong(R"({"name":"a","limits":{"rpm":1.5}})"), HasSubstr("'limits.rpm'"));
  EXPECT_THAT(wrong(R"({"name":"a","limits":{"rpm":1e30}})"), HasSubstr("'limits.rpm'"));
  EXPECT_THAT(wrong(R"({"name":"a","limits":{"rmp":1}})"), HasSubstr("did you mean 'rpm'?"));
  EXPECT_THAT(wrong(R"({"name":"a","labels":{"x":1}})"), HasSubstr("'labels.x' has to be a string"));
  EXPECT_THAT(wrong(R"({"name":"a","budget":5})"), HasSubstr("'budget' has to be a budget"));
  EXPECT_THAT(wrong(R"({"name":"a","secret":"mine"})"), HasSubstr("'secret' is not known"));
}

TEST(AdminShape, ReadsQueries) {
  std::vector<Field> fields{{"limit", Kind::integer, "", {}, false, false, 1, 1000},
                            {"prefix", Kind::text},
                            {"format", Kind::text, "", "json csv"}};
  auto query = read_query("limit=20&prefix=a%2Fb+c", fields);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->find("prefix")->second, "a/b c");
  EXPECT_TRUE(read_query("", fields)->empty());
  EXPECT_TRUE(read_query("prefix=", fields)->contains("prefix"));
  for (const char* bad :
       {"limit=0", "limit=1001", "limit=", "limit=1x", "limit=99999999999999999999", "format=xml", "lim=1"})
    EXPECT_FALSE(read_query(bad, fields)) << bad;
  EXPECT_THAT(read_query("limt=1", fields).error().detail, HasSubstr("did you mean 'limit'?"));
}

TEST(AdminShape, ReadsTimes) {
  constexpr base::WallMicros kNow = 1'800'000'000'000'000;
  EXPECT_EQ(*read_time("1h", kNow), kNow - 3'600'000'000);
  EXPECT_EQ(*read_time("1h", kNow, true), kNow + 3'600'000'000);
  EXPECT_EQ(*read_time("2027-01-31T00:00:00Z", kNow), 1'801'353'600'000'000);
  for (const char* bad : {"", "yesterday", "2027-13-01T00:00:00Z", "-1h", "5"})
    EXPECT_FALSE(read_time(bad, kNow)) << bad;
}

TEST(AdminRoutes, DescribeEachRouteByTheShapesOfTheTable) {
  AdminDesk desk;
  std::vector<AdminRoute> routes;
  for (auto part : {key_routes, team_routes, budget_routes, usage_routes, price_routes, audit_routes}) {
    for (AdminRoute& route : part(desk)) routes.push_back(std::move(route));
  }
  std::set<std::string_view> names;
  for (const AdminRoute& route : routes) {
    EXPECT_TRUE(names.insert(route.name).second) << route.name;
    EXPECT_NE(static_cast<bool>(route.answer), static_cast<bool>(route.report)) << route.name;
    EXPECT_EQ(shape(route.gives).name, route.gives) << route.name;
    EXPECT_EQ(shape(route.takes).name, route.takes) << route.name;
  }
  json::Object all = describe(routes);
  EXPECT_EQ(all.at("openapi").as_string(), "3.1.0");
  const json::Object& create = all.at("paths").as_object().at("/admin/v1/keys").as_object().at("post").as_object();
  for (const char* status : {"201", "400", "401", "403", "409", "413", "415", "422"})
    EXPECT_TRUE(create.at("responses").as_object().contains(status)) << status;
  EXPECT_EQ(json::dump(create.at("requestBody")),
            R"({"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/NewKey"}}}})");
  const json::Object& one = all.at("paths").as_object().at("/admin/v1/keys/{key}").as_object();
  EXPECT_EQ(one.size(), 3U);
  EXPECT_EQ(one.at("get").as_object().at("parameters").as_array().at(0).as_object().at("in").as_string(), "path");
}

}  // namespace
}  // namespace penstock::app
