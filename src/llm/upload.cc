#include "llm/upload.h"
#include "rt/await.h"

#include <charconv>

namespace penstock::llm {
namespace {

// What the body's length may be. Nothing of it is held, so that only the client's patience bounds it.
constexpr std::uint64_t kUploadBytesMax = UINT64_MAX;

}  // namespace

// The next piece goes behind held_. False at the end of the form.
rt::Task<Result<bool>> Upload::read_more() {
  Result<std::string_view> piece;
  {
    Waiting waiting(call_);
    piece = co_await call_.exchange.read_piece(kUploadBytesMax);
  }
  if (!piece) co_return std::unexpected(piece.error());
  call_.event.bytes_in += piece->size();
  ended_ = piece->empty();
  held_ += *piece;
  if (form_ != nullptr) {
    auto fed = form_->feed(*piece);
    // Before the last bytes go out: the provider could act on a form that is not whole.
    if (fed && (ended_ || call_.event.bytes_in == declared())) fed = form_->finish();
    if (!fed) co_return std::unexpected(fed.error());
  }
  co_return !ended_;
}

rt::Task<Result<void>> Upload::read_model() {
  while (!form_->found()) {
    auto more = co_await read_more();
    if (!more) co_return std::unexpected(more.error());
    if (!form_->found() && held_.size() > kHeldBytesMax) {
      co_return fail(Errc::out_of_range,
                     "the first 32 MiB of the form do not say which model it is for: put the field 'model' before the "
                     "file, or send its value in the header x-penstock-model as well");
    }
  }
  co_return Result<void>{};
}

// 0 when the head says none.
std::uint64_t Upload::declared() const {
  std::string_view text = call_.exchange.request().field("content-length");
  std::uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

std::string Upload::held_for(std::string_view model) const {
  std::string bytes = held_;
  if (form_ != nullptr && form_->found() && !renamed_)
    bytes.replace(form_->begin() - held_at_, form_->end() - form_->begin(), model);
  return bytes;
}

std::optional<std::uint64_t> Upload::length_for(std::string_view model) const {
  std::uint64_t length = declared();
  if (length == 0) return std::nullopt;
  if (form_ == nullptr || model == asked_) return length;
  // Where the name stands is not known yet, so neither is whether it is there.
  if (!form_->found()) return std::nullopt;
  return length - (form_->end() - form_->begin()) + model.size();
}

rt::Task<Result<void>> Upload::read_small() {
  while (!ended_ && held_.size() <= kWholeBytesMax) {
    auto more = co_await read_more();
    if (!more) co_return std::unexpected(more.error());
  }
  co_return Result<void>{};
}

PassThrough::Outcome Upload::blame_client(Error error) {
  client_failed_ = true;
  client_error_ = std::move(error);
  return std::unexpected(Failure(client_error_, obs::ErrorType::caller_bad_request));
}

rt::Task<PassThrough::Outcome> Upload::send(PassThrough& passage, std::string_view asked) {
  asked_ = asked;
  std::uint64_t length = declared();
  if (length == 0 && held_.empty()) {  // no body, or one in chunks
    auto first = co_await read_more();
    if (!first) co_return blame_client(first.error());
  }
  if (length > 0 && length <= kWholeBytesMax) {
    auto read = co_await read_small();
    if (!read) co_return blame_client(read.error());
  }
  auto bytes_for = [this](std::string_view model) { return held_for(model); };
  if (ended_) co_return co_await passage.send(bytes_for);
  auto started = co_await passage.start(bytes_for, [this](std::string_view model) { return length_for(model); });
  if (!started) co_return started;
  renamed_ = form_ == nullptr || form_->found();
  held_at_ += held_.size();
  held_ = {};
  co_return co_await send_rest(passage);
}

// What may go out of held_, with the model's name replaced.
std::string Upload::take_settled(std::string_view model) {
  std::string out;
  if (form_ == nullptr || renamed_) {
    out.swap(held_);
    return out;
  }
  if (form_->found()) {
    out = held_for(model);
    renamed_ = true;
    held_.clear();
    return out;
  }
  auto settled = static_cast<std::size_t>(form_->settled() - held_at_);
  out = held_.substr(0, settled);
  held_.erase(0, settled);
  held_at_ += settled;
  return out;
}

rt::Task<PassThrough::Outcome> Upload::send_rest(PassThrough& passage) {
  passage.on_answered([this] { call_.exchange.stop_reading(); });
  // Neither side need ever be slower than this core: about a megabyte, then it is others' turn.
  constexpr int kPiecesPerTurn = 16;
  for (int pieces = 1; !ended_ && !passage.answered(); ++pieces) {
    if (pieces % kPiecesPerTurn == 0) co_await rt::Yield(call_.exchange.loop());
    auto more = co_await read_more();
    if (passage.answered()) break;
    if (!more) co_return blame_client(more.error());
    std::string bytes = take_settled(passage.target().model);
    auto sent = co_await passage.write(bytes);
    if (!sent) co_return sent;
  }
  passage.on_answered({});
  co_return co_await passage.finish();
}

}  // namespace penstock::llm
