#include "app/piece_queue.h"

namespace penstock::app {

bool PieceQueue::put(std::string_view piece) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return closed_ || pieces_.size() < kPiecesMax; });
    if (closed_) return false;
    if (piece.empty()) return true;
    pieces_.emplace_back(piece);
  }
  wake();
  return true;
}

void PieceQueue::end(Result<void> result) {
  {
    std::lock_guard lock(mutex_);
    end_ = std::move(result);
  }
  wake();
}

void PieceQueue::wake() {
  loop_.post([self = shared_from_this()] { self->there_is_more_.set(); });
}

rt::Task<Result<std::string>> PieceQueue::next() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (!pieces_.empty()) {
        std::string piece = std::move(pieces_.front());
        pieces_.pop_front();
        room_.notify_one();
        co_return piece;
      }
      if (end_ && !*end_) co_return std::unexpected(end_->error());
      if (end_) co_return std::string();
    }
    co_await there_is_more_;
  }
}

void PieceQueue::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  room_.notify_one();
}

}  // namespace penstock::app
