// What a thread that may block makes piece by piece, and a loop sends on as fast as its client takes it.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "rt/await.h"

namespace penstock::app {

// One maker on any thread, one taker on the loop, which outlives both. Held by both.
class PieceQueue : public std::enable_shared_from_this<PieceQueue> {
 public:
  explicit PieceQueue(rt::Loop& loop) : loop_(loop), there_is_more_(loop) {}

  // --- the maker ---
  // Waits while there are kPiecesMax. False: nobody wants any more.
  bool put(std::string_view piece);
  // Nothing follows; once.
  void end(Result<void> result);

  // --- the taker ---
  // The next piece; empty at the end, an error when the maker failed.
  rt::Task<Result<std::string>> next();
  // Wants no more: the maker is told with its next piece.
  void close();

  static constexpr std::size_t kPiecesMax = 8;

 private:
  void wake();

  rt::Loop& loop_;
  rt::Event there_is_more_;  // the loop's
  std::mutex mutex_;         // guards what follows
  std::condition_variable room_;
  std::deque<std::string> pieces_;
  std::optional<Result<void>> end_;
  bool closed_ = false;
};

}  // namespace penstock::app
