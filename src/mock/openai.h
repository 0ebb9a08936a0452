// The paths of OpenAI's API on one loop.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/exchange.h"
#include "mock/answer.h"
#include "mock/media.h"
#include "rt/await.h"

namespace penstock::mock {

// What the loops of one mock share. Thread-safe.
struct Shared {
  explicit Shared(Options given) : options(std::move(given)) {}
  const Options options;
  std::atomic<std::uint64_t> arrivals{0};
  std::atomic<std::uint64_t> active{0};
  std::atomic<std::uint64_t> cancelled{0};

  struct Call {
    std::string path;
    std::string authorization;
    std::string body;
  };
  std::mutex mutex;  // guards last
  Call last;
  FileShelf files;
};

class OpenAi {
 public:
  explicit OpenAi(Shared& shared) : shared_(shared) {}
  rt::Task<void> handle(http::Exchange& exchange);
  // Ends every answer under way: nothing waits any longer.
  void stop();

 private:
  class Visit;
  rt::Task<void> call(http::Exchange& exchange);
  rt::Task<void> answer(Visit& visit, std::string_view body);
  std::expected<std::shared_ptr<const Answer>, Refusal> prepared(std::string_view path, std::string_view body);
  rt::Task<void> plain(Visit& visit, std::shared_ptr<const Answer> answer, Failure failure);
  rt::Task<void> stream(Visit& visit, std::shared_ptr<const Answer> answer, Failure failure);
  rt::Task<bool> interrupt(Visit& visit, Failure failure);
  rt::Task<void> realtime(http::Exchange& exchange);
  rt::Task<void> media(http::Exchange& exchange);
  rt::Task<void> look(http::Exchange& exchange);
  void remember(http::Exchange& exchange, std::string path, std::string_view body);
  Failure failure_for(const http::Request& request, std::string_view model, std::uint64_t arrival) const;

  Shared& shared_;
  std::vector<Visit*> visits_;
  bool stopping_ = false;
  std::string remembered_path_;
  std::string remembered_body_;
  std::shared_ptr<const Answer> remembered_;  // the latest answer
};

}  // namespace penstock::mock
