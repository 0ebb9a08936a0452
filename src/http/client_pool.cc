#include "http/client_pool.h"

namespace penstock::http {

ClientPool::ClientPool(rt::Loop& loop) : loop_(loop) {}
ClientPool::~ClientPool() = default;

std::unique_ptr<net::Stream> ClientPool::take(const Origin& origin) {
  auto entry = kept_.find(&origin);
  if (entry == kept_.end() || entry->second.idle.empty()) return nullptr;
  // The last used first: it is the least likely to have been closed by the other side. One that said something while
  // nobody had asked cannot be trusted to answer the next question.
  auto& idle = entry->second.idle;
  while (!idle.empty()) {
    auto stream = std::move(idle.back());
    idle.pop_back();
    stream->on_hang_up({});
    if (stream->quiet()) return stream;
  }
  return nullptr;
}

void ClientPool::keep(const std::shared_ptr<const Origin>& origin, std::unique_ptr<net::Stream> stream) {
  Kept& kept = kept_[origin.get()];
  kept.origin = origin;
  if (kept.idle.size() >= origin->idle_connections_max) return;
  stream->clear_deadline();
  // The upstream closes connections it is tired of: forget them at once, not at the next use. The destruction waits for
  // the loop, because this runs inside the stream's own callback.
  stream->on_hang_up([this, raw = stream.get()] { loop_.post([this, raw] { discard(raw); }); });
  kept.idle.push_back(std::move(stream));
}

void ClientPool::discard(const net::Stream* stream) {
  for (auto& [origin, kept] : kept_) {
    std::erase_if(kept.idle, [&](const auto& idle) { return idle.get() == stream && idle->hung_up(); });
  }
}

void ClientPool::prune() {
  std::erase_if(kept_, [](const auto& entry) { return entry.second.origin.use_count() == 1; });
}

void ClientPool::close_all() { kept_.clear(); }

std::size_t ClientPool::idle() const {
  std::size_t count = 0;
  for (const auto& [origin, kept] : kept_) count += kept.idle.size();
  return count;
}

}  // namespace penstock::http
