// Runs every tests/golden/CLIENT-PROVIDER/NAME.txt as a test of its own. README.md has the format.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "case_file.h"
#include "json_difference.h"
#include "llm/translation.h"
#include "sides.h"

namespace penstock::golden {
namespace {

constexpr std::string_view kModel = "m";
constexpr std::string_view kId = "req-1";
constexpr std::int64_t kCreated = 1'700'000'000;

// For authors: with PENSTOCK_GOLDEN_PRINT set, what came is printed as the sections of a case.
void print(std::string_view section, std::string_view text) {
  static const bool wanted = std::getenv("PENSTOCK_GOLDEN_PRINT") != nullptr;
  if (wanted) fmt::print("--- {}\n{}\n", section, text);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::ranges::sort(names);
  auto rest = std::ranges::unique(names);
  names.erase(rest.begin(), rest.end());
  return names;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> names;
  std::string name;
  for (char c : std::string(text) + ",") {
    if (c == ',') {
      if (!name.empty()) names.push_back(std::exchange(name, {}));
    } else if (c != ' ' && c != '\n') {
      name += c;
    }
  }
  return sorted(names);
}

template <class Codec>
std::vector<std::string> dropped_names(const Codec& codec, const chat::Dropped& dropped,
                                       const std::vector<std::string>& unread) {
  std::vector<std::string> names = unread;
  for (chat::Field field : dropped.list()) names.emplace_back(codec.field_name(field));
  return sorted(names);
}

class GoldenCase : public testing::Test {
 public:
  explicit GoldenCase(std::filesystem::path path) : path_(std::move(path)) {}

 protected:
  void TestBody() override {
    auto read = read_case(path_);
    ASSERT_TRUE(read.has_value()) << path_ << ": " << read.error().detail;
    case_ = std::move(*read);
    SCOPED_TRACE(fmt::format("{}: {}", path_.string(), case_.about));
    std::string_view codec = codec_name(case_.client);
    ASSERT_FALSE(codec.empty()) << "no client is called " << case_.client << "; sides.cc has the names";
    auto made = make_provider(case_.provider);
    ASSERT_TRUE(made.has_value()) << made.error().detail;
    provider_ = *made;
    if (codec.ends_with(".embeddings")) return run_embeddings();
    run_chat();
  }

 private:
  const std::string& section(std::string_view name) const { return *case_.find(name); }

  void run_chat() {
    codec_ = client_codec(case_.client);
    ASSERT_NE(codec_, nullptr) << "no codec " << codec_name(case_.client) << " in this build";
    auto request = codec_->read_request(section("request"));
    if (!request) return refused(request.error());
    if (codec_->family() == chat::Family::gemini) {
      request->model = kModel;
      request->stream = case_.has("stream");
    }
    request->id = kId;
    request->created = kCreated;
    bool counts = codec_->operation() == chat::Operation::count_tokens;
    chat::Dropped dropped;
    auto upstream =
        counts ? provider_->encode_count(*request, kModel, kId) : provider_->encode(*request, kModel, kId, dropped);
    if (!upstream) return refused(upstream.error());
    sent(*upstream, dropped_names(*codec_, dropped, request->unread));
    if (case_.has("answer") && !is_failure()) counts ? counted() : answered(*request);
    if (case_.has("answer") && is_failure()) failed(*codec_);
    if (case_.has("stream")) streamed(*request);
  }

  void run_embeddings() {
    auto codec = embeddings_codec(case_.client);
    ASSERT_NE(codec, nullptr) << "no codec " << codec_name(case_.client) << " in this build";
    auto request = codec->read_request(section("request"));
    if (!request) return refused(request.error());
    if (request->model.empty()) request->model = kModel;
    chat::Dropped dropped;
    auto upstream = provider_->encode(*request, kModel, kId, dropped);
    if (!upstream) return refused(upstream.error());
    sent(*upstream, dropped_names(*codec, dropped, request->unread));
    if (case_.has("answer") && is_failure()) return failed(*codec);
    if (!case_.has("answer")) return;
    auto answer = provider_->read_embeddings(*request, section("answer"));
    if (!answer) return unreadable(answer.error());
    reply(codec->write_answer(*request, *answer));
  }

  void refused(const Error& error) {
    print("error", error.detail);
    ASSERT_TRUE(case_.has("error")) << "refused: " << error.detail;
    std::string wanted = with_end(section("error"), "");
    EXPECT_NE(error.detail.find(wanted), std::string::npos) << error.detail << "\n  does not say: " << wanted;
  }

  void sent(const llm::UpstreamRequest& upstream, const std::vector<std::string>& dropped) {
    std::string body = upstream.body.joined();
    print("upstream", body);
    print("dropped", joined(dropped));
    ASSERT_FALSE(case_.has("error")) << "was to be refused, but went to the provider: " << body;
    EXPECT_NE(upstream.head->find(fmt::format("content-length: {}\r\n", body.size())), std::string::npos)
        << *upstream.head;
    if (case_.has("upstream")) {
      EXPECT_EQ(text_differences(body, section("upstream")), "") << "upstream: " << body;
      const std::string* expected = case_.find("dropped");
      EXPECT_EQ(joined(dropped), joined(split(expected == nullptr ? "" : *expected))) << "(--- dropped)";
    }
    if (const std::string* lines = case_.find("head")) has_lines(*upstream.head, *lines);
  }

  static void has_lines(std::string_view head, std::string_view lines) {
    std::string whole = fmt::format("\r\n{}", head);
    while (!lines.empty()) {
      std::size_t end = std::min(lines.find('\n'), lines.size());
      std::string line(lines.substr(0, end));
      EXPECT_NE(whole.find(fmt::format("\r\n{}\r\n", line)), std::string::npos) << "no line " << line << " in " << head;
      lines.remove_prefix(std::min(end + 1, lines.size()));
    }
  }

  void reply(const std::string& body) {
    print("reply", body);
    EXPECT_EQ(text_differences(body, section("reply")), "") << "reply: " << body;
  }

  // "--- answer 429": the provider refused, with this status.
  bool is_failure() const { return !case_.sections.find("answer")->second.argument.empty(); }

  template <class Codec>
  void failed(const Codec& codec) {
    int status = std::atoi(case_.sections.find("answer")->second.argument.c_str());
    reply(codec.write_error(provider_->read_error(status, section("answer"))));
  }

  // An answer that cannot be read: the case says so by a reply that begins with "unreadable: ".
  void unreadable(const Error& error) {
    print("reply", "unreadable: " + error.detail);
    std::string wanted = with_end(section("reply"), "");
    ASSERT_TRUE(wanted.starts_with("unreadable: ")) << "the answer cannot be read: " << error.detail;
    wanted = wanted.substr(std::string_view("unreadable: ").size());
    EXPECT_NE(error.detail.find(wanted), std::string::npos) << error.detail << "\n  does not say: " << wanted;
  }

  void answered(const chat::Request& request) {
    auto answer = provider_->read_chat(request, section("answer"));
    if (!answer) return unreadable(answer.error());
    for (const chat::Choice& choice : answer->choices) {
      if (auto failure = llm::failure_of(choice.finish)) return unreadable({.detail = failure->message});
    }
    // What the gateway fills in where a provider says nothing.
    if (answer->id.empty()) answer->id = request.id;
    if (answer->created == 0) answer->created = request.created;
    if (answer->model.empty()) answer->model = request.model;
    reply(codec_->write_answer(request, *answer));
  }

  void counted() {
    auto count = provider_->read_count(section("answer"));
    if (!count) return unreadable(count.error());
    reply(codec_->write_count(*count));
  }

  struct Streamed {
    std::string events;
    std::string failure;
    bool operator==(const Streamed&) const = default;
  };

  // As the gateway does it: until the proper end, or until the provider says that it failed.
  Streamed feed(const chat::Request& request, std::string_view bytes, std::size_t piece) const {
    llm::Translation translation(*provider_, *codec_, request);
    auto over = [&] { return translation.ended() || translation.failure().has_value(); };
    Result<void> read;
    for (std::size_t at = 0; read && !over() && at < bytes.size(); at += piece)
      read = translation.feed(bytes.substr(at, piece));
    if (read && !over()) read = translation.finish();
    Streamed out{.events = std::move(translation.output()), .failure = read ? "" : read.error().detail};
    if (translation.failure() && !translation.begun()) out = {.events = {}, .failure = translation.failure()->message};
    return out;
  }

  void streamed(const chat::Request& request) {
    ASSERT_NE(provider_->stream_reader(request), nullptr) << "no streams of " << case_.provider << " in this build";
    std::string bytes = with_end(section("stream"), provider_->framing() == llm::Framing::lines ? "\n" : "\n\n");
    Streamed whole = feed(request, bytes, std::max<std::size_t>(bytes.size(), 1));
    print("events", whole.events);
    if (!whole.failure.empty()) print("failure", whole.failure);
    std::string wanted_failure = case_.has("failure") ? with_end(section("failure"), "") : "";
    EXPECT_EQ(whole.failure.empty(), wanted_failure.empty()) << whole.failure;
    EXPECT_NE(whole.failure.find(wanted_failure), std::string::npos) << whole.failure;
    if (case_.has("events")) {
      bool events = codec_->stream_writer(request)->content_type().starts_with("text/event-stream");
      std::string wanted = with_end(section("events"), events ? "\n\n" : "\n");
      EXPECT_EQ(whole.events, wanted == "\n\n" || wanted == "\n" ? "" : wanted);
    }
    for (std::size_t piece : {1UL, 7UL}) {
      Streamed pieces = feed(request, bytes, piece);
      EXPECT_EQ(pieces.events, whole.events) << "in pieces of " << piece;
      EXPECT_EQ(pieces.failure, whole.failure) << "in pieces of " << piece;
    }
  }

  std::filesystem::path path_;
  CaseFile case_;
  std::shared_ptr<const llm::Provider> provider_;
  std::shared_ptr<const chat::ClientCodec> codec_;
};

void register_cases() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(PENSTOCK_SOURCE_DIR "/tests/golden")) {
    if (entry.path().extension() == ".txt" && entry.path().filename() != "CMakeLists.txt")
      paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  for (const auto& path : paths) {
    std::string suite = path.parent_path().filename().string();
    std::ranges::replace(suite, '-', '_');
    testing::RegisterTest(suite.c_str(), path.stem().c_str(), nullptr, nullptr, path.c_str(), 1,
                          [path]() -> testing::Test* { return new GoldenCase(path); });
  }
}

}  // namespace
}  // namespace penstock::golden

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  penstock::golden::register_cases();
  return RUN_ALL_TESTS();
}
