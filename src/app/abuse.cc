#include "app/abuse.h"

#include "obs/log.h"

namespace penstock::app {

http::AbuseHook report_abuse(obs::Observer& observer) {
  obs::Metrics* metrics = &observer.metrics();
  return [metrics](std::string_view what, const http::Peer& peer) {
    obs::log(obs::Level::warn, "a client was cut off: too much of what makes no sense",
             {{"what", std::string(what)}, {"client", peer.endpoint.text()}});
    auto lock = metrics->lock();
    metrics
        ->counter("penstock_http2_abuse_total",
                  "HTTP/2 connections ended because of floods, by what there was too much of.", {{"what", what}})
        .add(1);
  };
}

}  // namespace penstock::app
