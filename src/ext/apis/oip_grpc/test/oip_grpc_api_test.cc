#include <gmock/gmock.h>

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "flow/test/api_harness.h"
#include "http/grpc_frame.h"
#include "infer/engine.h"
#include "infer/test/fake_runtime.h"

namespace penstock::ext {

void register_apis_oip_grpc(base::Registry& registry);

namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kService = "/inference.GRPCInferenceService/";

std::string framed(std::string_view message) {
  auto prefix = http::grpc_prefix(false, message.size());
  return std::string(prefix.data(), prefix.size()) + std::string(message);
}

// A ModelInferRequest for one row of two.
std::string row(const std::string& model, const std::string& id = {}) {
  std::string message;
  pbf_writer writer(message);
  writer.add_string(1, model);
  if (!id.empty()) writer.add_string(3, id);
  pbf_writer input(writer, 5);
  input.add_string(1, "x");
  input.add_string(2, "FP32");
  const std::array<std::int64_t, 2> shape{1, 2};
  input.add_packed_int64(3, shape.begin(), shape.end());
  input.commit();
  const std::array<float, 2> values{1.5F, 2};
  writer.add_bytes(7, reinterpret_cast<const char*>(values.data()), sizeof values);
  return message;
}

std::string name_message(std::uint32_t field, const std::string& name) {
  std::string message;
  pbf_writer(message).add_string(field, name);
  return message;
}

// Of several: the first.
std::string text_field(const std::string& message, std::uint32_t field) {
  pbf_reader reader(message);
  return reader.next(field) ? reader.get_string() : std::string();
}

struct OipGrpcApiTest : testing::Test {
  infer::FakeHome home;
  infer::Repository repository{home.registry};
  infer::Engine engine{repository, {.threads = 1, .queue_max = 4, .inline_max = std::chrono::seconds(1)}};
  flow::ApiHarness api;

  OipGrpcApiTest() {
    home.write("twice/1/model.txt", "double");
    home.write("sick/1/model.txt", "fail");
    repository.apply({home.model("twice"), home.model("sick")});
    api.services.put(&repository);
    api.services.put(&engine);
    api.build(register_apis_oip_grpc);
  }
  http::FakeExchange ask(const std::string& path, std::string body, std::string_view timeout = {}) {
    http::FakeExchange exchange(api.loop, "POST", path, std::move(body));
    exchange.field("content-type", "application/grpc");
    if (!timeout.empty()) exchange.field("grpc-timeout", timeout);
    api.run(exchange);
    return exchange;
  }
  // The messages of an answer.
  static std::vector<std::string> messages(const http::FakeExchange& exchange) {
    http::GrpcFrames frames(1 << 20);
    frames.feed(exchange.answer());
    std::vector<std::string> list;
    while (true) {
      auto next = frames.next();
      EXPECT_TRUE(next.has_value());
      if (!next || !*next) break;
      list.emplace_back((*next)->bytes);
    }
    EXPECT_TRUE(frames.complete());
    return list;
  }
  // Where nothing but a head went out it is there, else behind the messages.
  static std::string status(const http::FakeExchange& exchange) {
    std::string in_head = exchange.answer_field("grpc-status");
    return in_head.empty() ? std::string(exchange.answer_trailers().get("grpc-status")) : in_head;
  }
  static std::string message(const http::FakeExchange& exchange) {
    std::string in_head = exchange.answer_field("grpc-message");
    return in_head.empty() ? std::string(exchange.answer_trailers().get("grpc-message")) : in_head;
  }
};

TEST_F(OipGrpcApiTest, Infers) {
  auto exchange = ask(kService + "ModelInfer", framed(row("twice", "7")));
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answer_field("content-type"), "application/grpc");
  EXPECT_EQ(status(exchange), "0") << message(exchange);
  auto list = messages(exchange);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(text_field(list[0], 1), "twice");
  EXPECT_EQ(text_field(list[0], 3), "7");
  std::string raw = text_field(list[0], 6);
  ASSERT_EQ(raw.size(), 8U);
  std::array<float, 2> values{};
  std::memcpy(values.data(), raw.data(), raw.size());
  EXPECT_THAT(values, ElementsAre(3.0F, 4.0F));
  auto event = api.event();
  EXPECT_EQ(event.api.view(), "oip_grpc");
  EXPECT_EQ(event.model.view(), "twice");
  EXPECT_EQ(event.status, 200);
}

TEST_F(OipGrpcApiTest, RefusesWithAStatusInTheHead) {
  struct Wrong {
    std::string path;
    std::string body;
    const char* status;
    const char* says;
  };
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {kService + "ModelInfer", framed(row("nope")), "5", "nope"},
           {kService + "ModelInfer", framed(row("sick")), "13", "could not run"},
           {kService + "ModelInfer", framed("\x0a\x7f"), "3", "protobuf"},
           {kService + "ModelInfer", "", "3", "no message"},
           {kService + "ModelInfer", framed(row("twice")) + framed(row("twice")), "3", "one message"},
           {kService + "ModelMetadata", framed(name_message(1, "nope")), "5", "nope"},
           {kService + "RepositoryModelLoad", framed(name_message(2, "nope")), "5", "nope"},
           {"/grpc.health.v1.Health/Check", framed(name_message(1, "nope")), "5", "nope"},
       }) {
    auto exchange = ask(wrong.path, wrong.body);
    EXPECT_EQ(exchange.status(), 200) << wrong.path;
    EXPECT_EQ(exchange.answer_field("grpc-status"), wrong.status) << wrong.path << message(exchange);
    EXPECT_THAT(message(exchange), HasSubstr(wrong.says)) << wrong.path;
    EXPECT_EQ(exchange.answer(), "");
  }
}

TEST_F(OipGrpcApiTest, TakesOnlySmallMessagesFromAnybody) {
  std::string large = framed(name_message(9, std::string(20'000, 'x')));
  for (const std::string& path :
       {kService + "ServerLive", kService + "ServerReady", kService + "ServerMetadata", kService + "ModelReady",
        std::string("/grpc.health.v1.Health/Check"), std::string("/grpc.health.v1.Health/Watch")}) {
    EXPECT_EQ(status(ask(path, large)), "8") << path;
  }
  EXPECT_EQ(status(ask(kService + "ServerLive", framed(name_message(9, std::string(10'000, 'x'))))), "0");
}

TEST_F(OipGrpcApiTest, SaysWhatItDoesNotKnow) {
  auto exchange = ask(kService + "SystemSharedMemoryStatus", framed(""));
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(status(exchange), "12");
  EXPECT_THAT(message(exchange), HasSubstr("SystemSharedMemoryStatus"));
  EXPECT_EQ(api.event().status, 501);
}

TEST_F(OipGrpcApiTest, KeepsToDeadlines) {
  auto exchange = ask(kService + "ModelInfer", framed(row("twice")), "1n");
  EXPECT_EQ(status(exchange), "4") << message(exchange);
  EXPECT_EQ(status(ask(kService + "ModelInfer", framed(row("twice")), "soon")), "3");
  EXPECT_EQ(status(ask(kService + "ModelInfer", framed(row("twice")), "1M")), "0");
}

TEST_F(OipGrpcApiTest, AnswersOtherContentWithHttp) {
  http::FakeExchange exchange(api.loop, "POST", kService + "ModelInfer", "{}");
  exchange.field("content-type", "application/json");
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 415);
  EXPECT_THAT(exchange.answer(), HasSubstr("application/grpc"));
}

TEST_F(OipGrpcApiTest, StreamsInOrderAndOutlivesErrors) {
  std::string body =
      framed(row("twice", "1")) + framed(row("nope", "2")) + framed("\x0a\x7f") + framed(row("twice", "4"));
  http::FakeExchange exchange(api.loop, "POST", kService + "ModelStreamInfer", body);
  exchange.field("content-type", "application/grpc");
  exchange.cut_body_into(11);
  api.run(exchange);
  EXPECT_EQ(status(exchange), "0") << message(exchange);
  std::vector<std::string> ids, errors;
  for (const std::string& one : messages(exchange)) {
    ids.push_back(text_field(text_field(one, 2), 3));
    errors.push_back(text_field(one, 1));
  }
  EXPECT_THAT(ids, ElementsAre("1", "2", "", "4"));
  EXPECT_THAT(errors, ElementsAre("", HasSubstr("nope"), HasSubstr("protobuf"), ""));
}

TEST_F(OipGrpcApiTest, EndsAStreamThatMakesNoSense) {
  auto exchange = ask(kService + "ModelStreamInfer", framed(row("twice", "1")) + "\x05garbage");
  EXPECT_EQ(messages(exchange).size(), 1U);
  EXPECT_EQ(status(exchange), "3");
  EXPECT_EQ(status(ask(kService + "ModelStreamInfer", framed(row("twice")).substr(0, 20))), "3");
}

// Runs out of memory once, in a read or in a write.
class TightExchange : public http::FakeExchange {
 public:
  TightExchange(rt::Loop& loop, std::string body, int reads, int writes)
      : FakeExchange(loop, "POST", kService + "ModelStreamInfer", std::move(body)), reads_(reads), writes_(writes) {
    field("content-type", "application/grpc");
    cut_body_into(50);
  }
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) override {
    if (--reads_ == 0) throw std::bad_alloc();
    co_return co_await FakeExchange::read_piece(bytes_max);
  }
  rt::Task<Result<void>> flush() override {
    if (--writes_ == 0) throw std::bad_alloc();
    co_return co_await FakeExchange::flush();
  }

 private:
  int reads_, writes_;
};

TEST_F(OipGrpcApiTest, EndsAStreamWithoutMemory) {
  std::string body;
  for (int i = 0; i < 5; ++i) body += framed(row("twice", std::to_string(i)));
  // The first write is the head.
  for (auto [reads, writes] : {std::pair(1, 0), std::pair(2, 0), std::pair(4, 0), std::pair(0, 2)}) {
    TightExchange exchange(api.loop, body, reads, writes);
    api.run(exchange);
    EXPECT_EQ(status(exchange), "8") << reads << ' ' << writes;
    EXPECT_THAT(message(exchange), HasSubstr("memory"));
    EXPECT_TRUE(exchange.finished());
  }
  EXPECT_EQ(status(ask(kService + "ModelStreamInfer", body)), "0");
}

TEST_F(OipGrpcApiTest, WatchesAServiceNobodyKnows) {
  http::FakeExchange exchange(api.loop, "POST", "/grpc.health.v1.Health/Watch", framed(name_message(1, "nope")));
  exchange.field("content-type", "application/grpc");
  rt::Timer later(api.loop);
  later.arm_in(std::chrono::milliseconds(20), [&] { exchange.leave(); });
  api.run(exchange);
  EXPECT_THAT(messages(exchange), ElementsAre("\x08\x03"));
}

TEST_F(OipGrpcApiTest, SaysHowItIs) {
  EXPECT_THAT(messages(ask(kService + "ServerLive", framed(""))), ElementsAre("\x08\x01"));
  EXPECT_THAT(messages(ask(kService + "ServerReady", framed(""))), ElementsAre("\x08\x01"));
  EXPECT_THAT(messages(ask(kService + "ModelReady", framed(name_message(1, "twice")))), ElementsAre("\x08\x01"));
  EXPECT_THAT(messages(ask(kService + "ModelReady", framed(name_message(1, "nope")))), ElementsAre(""));
  EXPECT_THAT(messages(ask("/grpc.health.v1.Health/Check", framed(""))), ElementsAre("\x08\x01"));
  auto metadata = messages(ask(kService + "ModelMetadata", framed(name_message(1, "twice"))));
  ASSERT_EQ(metadata.size(), 1U);
  EXPECT_EQ(text_field(metadata[0], 3), "fake_text");
}

TEST_F(OipGrpcApiTest, UnloadsAndLoads) {
  EXPECT_EQ(status(ask(kService + "RepositoryModelUnload", framed(name_message(2, "twice")))), "0");
  EXPECT_EQ(status(ask(kService + "ModelInfer", framed(row("twice")))), "14");
  EXPECT_EQ(status(ask(kService + "RepositoryModelLoad", framed(name_message(2, "twice")))), "0");
  EXPECT_EQ(status(ask(kService + "ModelInfer", framed(row("twice")))), "0");
}

}  // namespace
}  // namespace penstock::ext
