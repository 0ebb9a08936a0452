#include "mock/media.h"

#include <zlib.h>

#include <charconv>

#include "json/value.h"
#include "mock/options.h"
#include "mock/render.h"
#include "wire/multipart.h"

namespace penstock::mock {
namespace {

constexpr std::uint64_t kSpeechBytesMax = 4U << 20;

rt::Task<Result<void>> respond(http::Exchange& exchange, int status, std::string body,
                               std::string_view type = "application/json") {
  http::ResponseHead head(status);
  head.add("content-type", type);
  co_return co_await exchange.respond(std::move(head), body);
}

std::string refusal(std::string_view message) { return error_body(message, "invalid_request_error", {}, {}); }

// The fields of a form, with the file counted or kept.
struct Form : wire::MultipartListener {
  void on_part(std::string_view name, std::string_view file, std::uint64_t) override {
    field = name;
    if (name == "file") file_name = file;
  }
  void on_content(std::string_view bytes) override {
    if (field == "model") model += bytes;
    if (field == "purpose") purpose += bytes;
    if (field != "file") return;
    file_bytes += bytes.size();
    checksum = ::crc32(checksum, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
    if (keep) content += bytes;
  }
  void on_part_end(std::uint64_t) override { model_known = model_known || field == "model"; }

  std::string field;
  std::string model;
  std::string purpose;
  std::string file_name;
  std::string content;
  std::uint64_t file_bytes = 0;
  unsigned long checksum = 0;
  bool keep = false;
  bool model_known = false;
};

// The status a model called mock-NNN asks for; 0 for others.
int asked_status(const Form& form) {
  if (!form.model_known || !form.model.starts_with("mock-")) return 0;
  auto failure = parse_failure(std::string_view(form.model).substr(5));
  return failure && failure->kind == Failure::Kind::status ? failure->status : 0;
}

// Reads to the end of the form, or until its model asks to be refused. False when the form is broken.
rt::Task<Result<bool>> read_form(http::Exchange& exchange, Form& form) {
  std::string boundary = wire::form_boundary(exchange.request().field("content-type"));
  if (boundary.empty()) co_return false;
  wire::MultipartReader reader(boundary, form);
  while (asked_status(form) == 0) {
    auto piece = co_await exchange.read_piece(UINT64_MAX);
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) co_return reader.done();
    if (!reader.feed(*piece)) co_return false;
  }
  co_return true;
}

rt::Task<Result<void>> transcribe(http::Exchange& exchange) {
  Form form;
  auto fine = co_await read_form(exchange, form);
  if (!fine) co_return std::unexpected(fine.error());
  if (int status = asked_status(form); status != 0)
    co_return co_await respond(exchange, status, refusal("The mock provider was told to refuse this upload."));
  if (!*fine || form.model.empty() || form.file_bytes == 0)
    co_return co_await respond(exchange, 400, refusal("The form is malformed, or lacks its model or its file."));
  json::Object file;
  file["name"] = form.file_name;
  file["bytes"] = form.file_bytes;
  file["crc32"] = fmt::format("{:08x}", form.checksum);
  json::Object answer;
  answer["text"] = fmt::format("The mock provider heard {} bytes.", form.file_bytes);
  answer["model"] = form.model;
  answer["file"] = std::move(file);
  co_return co_await respond(exchange, 200, json::dump(answer));
}

rt::Task<Result<void>> say_in_events(http::Exchange& exchange, std::string_view sound) {
  http::ResponseHead head(200);
  head.add("content-type", "text/event-stream");
  exchange.begin(std::move(head));
  auto sent = co_await exchange.flush();
  for (std::size_t at = 0; sent && at < sound.size(); at += 600) {
    std::string event = R"(data: {"type":"speech.audio.delta","audio":")";
    event += std::string(std::min<std::size_t>(800, (sound.size() - at) / 3 * 4), 'A') + "\"}\n\n";
    sent = co_await exchange.write(event);
  }
  if (sent) sent = co_await exchange.write("data: {\"type\":\"speech.audio.done\"}\n\n");
  if (sent) sent = co_await exchange.finish();
  co_return sent;
}

rt::Task<Result<void>> speak(http::Exchange& exchange) {
  auto body = co_await exchange.read_body(kSpeechBytesMax);
  if (!body) co_return std::unexpected(body.error());
  auto request = json::parse(*body);
  std::string input = request ? std::string(json::string_or(*request, "input", "")) : "";
  if (input.empty()) co_return co_await respond(exchange, 400, refusal("There is no 'input' to speak."));
  std::size_t size = 0;
  auto [end, defect] = std::from_chars(input.data(), input.data() + input.size(), size);
  bool told = defect == std::errc{} && std::string_view(end) == " bytes" && size <= (256U << 20);
  if (!told) size = input.size() * 100;
  std::string sound(size, '\0');
  for (std::size_t i = 0; i < size; ++i) sound[i] = static_cast<char>(i % 251);
  if (json::string_or(*request, "stream_format", "") == "sse") co_return co_await say_in_events(exchange, sound);
  co_return co_await respond(exchange, 200, std::move(sound), "audio/mpeg");
}

rt::Task<Result<void>> keep_file(http::Exchange& exchange, FileShelf& shelf) {
  Form form;
  form.keep = true;
  auto fine = co_await read_form(exchange, form);
  if (!fine) co_return std::unexpected(fine.error());
  if (!*fine || form.purpose.empty())
    co_return co_await respond(exchange, 400, refusal("The form is malformed, or lacks its purpose."));
  std::string id = shelf.add({form.file_name, form.purpose, std::move(form.content)});
  if (id.empty()) co_return co_await respond(exchange, 413, refusal("The mock provider keeps no more than 64 MiB."));
  co_return co_await respond(exchange, 200, shelf.describe(id));
}

rt::Task<Result<void>> look_at_file(http::Exchange& exchange, FileShelf& shelf) {
  std::string_view method = exchange.request().method;
  std::string_view rest = exchange.request().path.substr(std::string_view("/v1/files").size());
  if (rest.empty() && method == "GET") co_return co_await respond(exchange, 200, shelf.describe_all());
  rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
  std::string id(rest.substr(0, rest.find('/')));
  std::string described = shelf.describe(id);
  if (described.empty()) co_return co_await respond(exchange, 404, refusal("No such File object: " + id));
  if (method == "DELETE") {
    shelf.remove(id);
    co_return co_await respond(exchange, 200, fmt::format(R"({{"id":"{}","object":"file","deleted":true}})", id));
  }
  std::string bytes;
  if (rest.ends_with("/content") && shelf.content(id, bytes))
    co_return co_await respond(exchange, 200, std::move(bytes), "application/octet-stream");
  co_return co_await respond(exchange, 200, std::move(described));
}

std::string describe_file(const std::string& id, const FileShelf::File& file) {
  json::Object object;
  object["id"] = id;
  object["object"] = "file";
  object["bytes"] = file.bytes.size();
  object["created_at"] = 1700000000;
  object["filename"] = file.name;
  object["purpose"] = file.purpose;
  object["status"] = "processed";
  return json::dump(object);
}

}  // namespace

std::string FileShelf::add(File file) {
  std::lock_guard lock(mutex_);
  if (files_.size() >= kFilesMax || bytes_ + file.bytes.size() > kBytesMax) return {};
  bytes_ += file.bytes.size();
  std::string id = fmt::format("file-mock{:06}", ++made_);
  files_[id] = std::move(file);
  return id;
}

std::string FileShelf::describe(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto found = files_.find(id);
  return found == files_.end() ? std::string() : describe_file(id, found->second);
}

std::string FileShelf::describe_all() const {
  std::lock_guard lock(mutex_);
  std::string body = R"({"object":"list","data":[)";
  for (const auto& [id, file] : files_) body += (body.ends_with('[') ? "" : ",") + describe_file(id, file);
  return body + R"(],"has_more":false})";
}

bool FileShelf::remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto found = files_.find(id);
  if (found == files_.end()) return false;
  bytes_ -= found->second.bytes.size();
  files_.erase(found);
  return true;
}

bool FileShelf::content(const std::string& id, std::string& bytes) const {
  std::lock_guard lock(mutex_);
  auto found = files_.find(id);
  if (found == files_.end()) return false;
  bytes = found->second.bytes;
  return true;
}

bool is_media(std::string_view path) {
  return path == "/v1/audio/speech" || path == "/v1/audio/transcriptions" || path == "/v1/audio/translations" ||
         path == "/v1/files" || path.starts_with("/v1/files/");
}

rt::Task<Result<void>> answer_media(http::Exchange& exchange, FileShelf& shelf) {
  const http::Request& request = exchange.request();
  bool post = request.method == "POST";
  if (!request.path.starts_with("/v1/audio/")) return post ? keep_file(exchange, shelf) : look_at_file(exchange, shelf);
  if (!post) return respond(exchange, 405, refusal("Only POST is allowed here."));
  return request.path.ends_with("/speech") ? speak(exchange) : transcribe(exchange);
}

}  // namespace penstock::mock
