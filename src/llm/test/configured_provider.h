// A provider made as a configuration would make it, with what was said about the configuration.
#pragma once

#include <gtest/gtest.h>

#include "base/registry.h"
#include "config/document.h"
#include "llm/provider.h"

namespace penstock::llm {

struct ConfiguredProvider {
  std::shared_ptr<const Provider> provider;
  std::string report;
};

// `yaml` is the provider's map without its type. ${KEY} is "key with spaces".
inline ConfiguredProvider configure(void (*register_type)(base::Registry&), std::string_view type,
                                    std::string_view yaml) {
  base::Registry registry;
  register_type(registry);
  auto document = config::Document::parse(
      yaml, "p.yaml", [](const std::string& name) { return name == "KEY" ? "key with spaces" : nullptr; });
  EXPECT_TRUE(document.has_value());
  config::Map map = document->root().map();
  ConfiguredProvider made;
  made.provider = registry.find<ProviderFactory>(type)->make("lab", map);
  map.done();
  made.report = document->report();
  return made;
}

// The body of a small question to it.
inline std::string asked(const Provider& provider) {
  chat::Request request;
  request.messages.push_back({.role = chat::Role::user, .parts = {{.content = chat::Text{"hi"}}}});
  chat::Dropped dropped;
  return provider.encode(request, "m", "id", dropped)->body.joined();
}

}  // namespace penstock::llm
