#include "ext/apis/openai/openai_dialect.h"

#include <gtest/gtest.h>

#include <set>

#include "json/value.h"

namespace penstock::ext {
namespace {

constexpr int kCodes = static_cast<int>(Errc::protocol_error) + 1;

json::Value error_of(int status, const Error& error) {
  std::string body = OpenAiDialect().error_body(status, error, "id-1");
  auto parsed = json::parse(body);
  EXPECT_TRUE(parsed.has_value()) << body;
  if (!parsed) return {};
  EXPECT_EQ(parsed->get_object().size(), 1U) << body;
  const json::Value* found = json::find(*parsed, "error");
  return found != nullptr ? *found : json::Value();
}

TEST(OpenAiDialect, EveryCodeHasAllFourKeys) {
  for (int i = 0; i < kCodes; ++i) {
    auto code = static_cast<Errc>(i);
    OpenAiDialect dialect;
    Error error{code, "what to do"};
    int status = dialect.status(error);
    json::Value body = error_of(status, error);
    ASSERT_TRUE(body.is_object()) << to_string(code);
    std::set<std::string> keys;
    for (const auto& member : body.get_object()) keys.insert(std::string(member.key()));
    EXPECT_EQ(keys, (std::set<std::string>{"message", "type", "param", "code"})) << to_string(code);
    EXPECT_EQ(json::string_or(body, "message", ""), "what to do");
    EXPECT_TRUE(json::find(body, "param")->is_null());
    EXPECT_TRUE(json::find(body, "code")->is_null() || !json::string_or(body, "code", "").empty()) << to_string(code);
    // The SDKs choose their exception by the status; the type must tell the same story.
    std::string_view type = json::string_or(body, "type", "");
    EXPECT_EQ(type == "server_error", status >= 500) << to_string(code);
  }
}

TEST(OpenAiDialect, SpeaksAsTheSdksExpect) {
  struct Wanted {
    Errc code;
    int status;
    const char* type;
    const char* name;
  };
  for (const Wanted& wanted : std::initializer_list<Wanted>{
           {Errc::unauthenticated, 401, "authentication_error", "invalid_api_key"},
           {Errc::permission_denied, 403, "permission_error", "model_not_allowed"},
           {Errc::not_found, 404, "not_found_error", "model_not_found"},
           {Errc::resource_exhausted, 429, "rate_limit_error", "rate_limit_exceeded"},
           {Errc::invalid_argument, 400, "invalid_request_error", ""},
           {Errc::out_of_range, 413, "invalid_request_error", "request_too_large"},
           {Errc::unavailable, 503, "server_error", "overloaded"},
           {Errc::protocol_error, 502, "server_error", "provider_error"},
           {Errc::deadline_exceeded, 504, "server_error", "timeout"},
       }) {
    Error error{wanted.code, "x"};
    int status = OpenAiDialect().status(error);
    EXPECT_EQ(status, wanted.status);
    json::Value body = error_of(status, error);
    EXPECT_EQ(json::string_or(body, "type", ""), wanted.type);
    EXPECT_EQ(json::string_or(body, "code", ""), wanted.name);
  }
}

TEST(OpenAiDialect, StaysJsonWhateverTheDetailSays) {
  for (std::string detail : {std::string("a \"quoted\" \\ line\nbreak\t\x01"), std::string("\xff\xfe broken \xc3"),
                             std::string("nul\0inside", 10), std::string()}) {
    json::Value body = error_of(400, {Errc::invalid_argument, detail});
    EXPECT_TRUE(body.is_object());
    EXPECT_EQ(json::string_or(body, "type", ""), "invalid_request_error");
  }
}

}  // namespace
}  // namespace penstock::ext
