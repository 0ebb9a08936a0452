// An API extension behind the real front, with fake exchanges before it: what its handlers answer and what is recorded.
#pragma once

#include <gtest/gtest.h>

#include "flow/front.h"
#include "http/test/fake_exchange.h"

namespace penstock::flow {

struct ApiHarness {
  rt::Loop loop;
  base::Services services;
  base::FakeClock clock;
  obs::Observer observer{{.cores = 1, .access_log = false, .on_batch = {}}};
  Front front{services, observer, clock, 1};

  ApiHarness() { use({}); }

  // After `services` has what the API needs.
  void build(void (*register_api)(base::Registry&)) {
    base::Registry registry;
    register_api(registry);
    for (const std::string& name : registry.names<ApiFactory>()) registry.find<ApiFactory>(name)->build(front);
  }
  void use(std::vector<std::unique_ptr<Filter>> filters) {
    front.set_policy(0, std::make_shared<const Policy>(Callers{}, true, std::move(filters)));
  }

  // Runs the loop until the call is over.
  void run(http::FakeExchange& exchange) {
    bool over = false;
    loop.post([&] {
      rt::spawn(front.handle(exchange), [&] {
        over = true;
        loop.stop();
      });
    });
    rt::Timer patience(loop);
    patience.arm_in(std::chrono::seconds(10), [&] { loop.stop(); });
    loop.run();
    EXPECT_TRUE(over) << "no answer after ten seconds";
  }

  // What was recorded about the call before. Once per harness.
  obs::RequestEvent event() {
    observer.start();
    observer.stop();
    auto events = observer.recent(1);
    EXPECT_EQ(events.size(), 1U);
    return events.empty() ? obs::RequestEvent{} : events.front();
  }
};

}  // namespace penstock::flow
