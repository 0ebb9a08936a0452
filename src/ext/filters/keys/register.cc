#include "base/registry.h"
#include "ext/filters/keys/keys_filter.h"

namespace penstock::ext {

void register_filters_keys(base::Registry& registry) {
  registry.add("keys", flow::FilterFactory{[] { return std::make_unique<KeysFilter>(); }});
}

}  // namespace penstock::ext
