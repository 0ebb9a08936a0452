#include "mqtt/connection.h"

#include <system_error>
#include <thread>

#include "mqtt/worker.h"

namespace penstock::mqtt {

Connection::Connection(Options options, std::vector<Subscription> subscriptions, Handlers handlers,
                       std::size_t queue_max)
    : worker_(std::make_shared<Worker>(std::move(options), std::move(subscriptions), std::move(handlers), queue_max)) {}

Connection::~Connection() { stop({}); }

Result<void> Connection::start() {
  if (started_) return {};
  if (auto ready = worker_->prepare(); !ready) return ready;  // the status says so too
  try {
    // The worker's end is awaited in stop() with a deadline, which std::thread::join() does not have.
    std::thread([worker = worker_] { worker->run(); }).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::resource_exhausted, std::string("cannot start the thread of a MQTT connection: ") + error.what());
  }
  started_ = true;
  return {};
}

void Connection::stop(base::Duration flush) {
  if (!started_) return;
  started_ = false;
  worker_->stop(flush);
}

bool Connection::publish(Outgoing message) { return worker_->publish(std::move(message)); }

void Connection::publish(std::vector<Outgoing> messages, std::function<void(Published)> done) {
  worker_->publish(std::move(messages), std::move(done));
}

ConnectionStatus Connection::status() const { return worker_->status(); }

}  // namespace penstock::mqtt
