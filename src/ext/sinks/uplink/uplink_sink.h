// Several ways to the same place: the best that works carries the samples.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ingest/contracts.h"
#include "net/address.h"

namespace penstock::ext {

struct UplinkLink {
  std::string name;
  std::unique_ptr<ingest::Sink> sink;
  std::optional<net::HostPort> probe = std::nullopt;  // connected to, to see whether the link works
  base::Duration every{};                             // between probes, and before a failed link is tried again
  std::int64_t cost = 0;                              // the cheaper is preferred; among equals the one written first
  bool metered = false;                               // bulk samples wait while this is in use
};

// Whether something listens there; `done` is called once, on the loop.
using UplinkProbe = std::function<void(rt::Loop& loop, net::HostPort address, std::function<void(Result<void>)> done)>;

struct UplinkOptions {
  std::vector<UplinkLink> links;  // at least one
  base::Duration back_after{};    // a better link must have been well for so long before it is used again
  base::Duration timeout{};       // a link that has not confirmed a batch by then has failed
  UplinkProbe probe;
};

// One batch at a time. A link that fails hands its batch back to the outlet, which sends it again at once over the next
// one; what the failed link delivered all the same is there twice. On the loop, but for status().
class UplinkSink : public ingest::Sink {
 public:
  static constexpr base::Duration kTick = std::chrono::milliseconds(250);

  UplinkSink(UplinkOptions options, const base::Clock& clock);

  Result<void> start(rt::Loop& loop) override;
  std::size_t batch_max() const override;
  ingest::Priority least() const override;
  void on_ready(std::function<void()> told) override { told_ = std::move(told); }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

  // What is due: probes, the way back, the end of patience. Called every kTick.
  void tick();

 private:
  struct Link {
    UplinkLink what;
    bool usable = true;
    bool probing = false;
    std::optional<base::SteadyTime> well_since;  // none: since the start
    base::SteadyTime next_try{};                 // the next probe, or when a failed one may be tried again
    std::string why;                             // it is not usable
  };
  struct UnderWay {
    std::uint64_t number = 0;
    base::SteadyTime until{};
    std::function<void(ingest::Sent)> done;
  };

  void look_after(Link& link, base::SteadyTime now);
  void probed(Link& link, const Result<void>& answer);
  void fail(Link& link, std::string why);
  void recover(Link& link);
  bool choose();
  void answered(std::uint64_t number, ingest::Sent sent);
  void show();

  const base::Clock& clock_;
  const base::Duration back_after_;
  const base::Duration timeout_;
  const UplinkProbe probe_;
  std::vector<Link> links_;  // the preferred ones first
  Link* current_ = nullptr;  // null: none is usable
  rt::Loop* loop_ = nullptr;
  std::unique_ptr<rt::Timer> timer_;
  std::shared_ptr<bool> alive_;  // gone after stop(): answers that come later are nobody's
  std::function<void()> told_;
  std::optional<UnderWay> under_way_;
  std::uint64_t next_number_ = 0;
  mutable std::mutex status_mutex_;  // guards the one below
  ingest::Status status_;
};

std::unique_ptr<ingest::Sink> make_uplink_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                               const ingest::Context& context);

}  // namespace penstock::ext
