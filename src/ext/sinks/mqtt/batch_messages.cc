#include "ext/sinks/mqtt/batch_messages.h"

#include <algorithm>

namespace penstock::ext {

ingest::Sent BatchMessages::sent(mqtt::Published published) const {
  if (!published.confirmed) return {.outcome = ingest::Sent::Outcome::again, .why = std::move(published.why)};
  ingest::Sent sent{.why = std::move(published.why), .rejected = unfit};
  if (sent.why.empty() && !sent.rejected.empty()) sent.why = why_unfit;
  for (std::size_t position : published.rejected) sent.rejected.push_back(samples[position]);
  // Each once, in order.
  std::sort(sent.rejected.begin(), sent.rejected.end());
  sent.rejected.erase(std::unique(sent.rejected.begin(), sent.rejected.end()), sent.rejected.end());
  return sent;
}

void publish(mqtt::Connection& connection, BatchMessages batch, rt::Loop& loop, std::shared_ptr<bool> running,
             std::function<void(ingest::Sent)> done) {
  if (batch.messages.empty()) return done(batch.sent({.confirmed = true}));
  std::vector<mqtt::Outgoing> messages = std::move(batch.messages);
  connection.publish(std::move(messages), [&loop, running = std::move(running), batch = std::move(batch),
                                           done = std::move(done)](mqtt::Published published) {
    loop.post([running, done, sent = batch.sent(std::move(published))] {
      if (*running) done(sent);
    });
  });
}

}  // namespace penstock::ext
