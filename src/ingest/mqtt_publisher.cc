#include "ingest/mqtt_publisher.h"

#include "mqtt/topic.h"

namespace penstock::ingest {
namespace {

constexpr std::size_t kQueueMessages = 1000;
constexpr base::Duration kLookAgain = std::chrono::milliseconds(50);

}  // namespace

Result<void> MqttPublisher::open() {
  std::lock_guard lock(mutex_);
  if (connection_) return {};
  auto connection =
      std::make_shared<mqtt::Connection>(broker_, std::vector<mqtt::Subscription>(), mqtt::Handlers(), kQueueMessages);
  if (auto started = connection->start(); !started) return started;
  connection_ = std::move(connection);
  return {};
}

// Lives until it was answered, or its connection ended. On the loop, but for what the connection calls.
struct MqttPublisher::Attempt : public std::enable_shared_from_this<Attempt> {
  rt::Loop& loop;
  std::shared_ptr<mqtt::Connection> connection;
  mqtt::Outgoing message;
  base::SteadyTime give_up;
  Done done;
  rt::Timer timer{loop};

  Attempt(rt::Loop& on, std::shared_ptr<mqtt::Connection> to, mqtt::Outgoing what, base::SteadyTime until, Done answer)
      : loop(on), connection(std::move(to)), message(std::move(what)), give_up(until), done(std::move(answer)) {}

  void begin() {
    mqtt::ConnectionStatus status = connection->status();
    if (!status.connected) {
      if (std::chrono::steady_clock::now() >= give_up) return done(fail(Errc::unavailable, status.detail));
      timer.arm_in(kLookAgain, [self = shared_from_this()] { self->begin(); });
      return;
    }
    // Not held on to: the last one to let go of a connection must not be its own thread.
    auto to = std::move(connection);
    to->publish({message}, [self = shared_from_this()](const mqtt::Published& published) {
      bool taken = published.confirmed && published.rejected.empty();
      // It was handed over: without the broker's word nobody knows whether it came.
      Errc code = published.rejected.empty() ? Errc::data_loss : Errc::invalid_argument;
      Result<void> result = taken ? Result<void>() : Result<void>(fail(code, published.why));
      rt::Loop& home = self->loop;
      home.post([self, result] { self->done(result); });
    });
  }
};

void MqttPublisher::publish(rt::Loop& loop, mqtt::Outgoing message, base::Duration within, Done done) {
  if (auto good = mqtt::check_topic(message.topic); !good)
    return done(fail(Errc::invalid_argument, good.error().detail));
  if (auto opened = open(); !opened) return done(std::unexpected(opened.error()));
  std::make_shared<Attempt>(loop, connection_, std::move(message), std::chrono::steady_clock::now() + within,
                            std::move(done))
      ->begin();
}

std::string fill_in(std::string_view text, const std::vector<std::pair<std::string_view, std::string_view>>& values,
                    const std::function<std::string(std::string_view)>& fit) {
  std::string out;
  while (!text.empty()) {
    auto here = std::find_if(values.begin(), values.end(), [&](const auto& value) {
      return text.size() >= value.first.size() + 2 && text.front() == '{' &&
             text.substr(1, value.first.size()) == value.first && text[value.first.size() + 1] == '}';
    });
    if (here == values.end()) {
      out += text.front();
      text.remove_prefix(1);
    } else {
      out += fit(here->second);
      text.remove_prefix(here->first.size() + 2);
    }
  }
  return out;
}

}  // namespace penstock::ingest
