#include "base/registry.h"
#include "ext/filters/limits/limits_filter.h"

namespace penstock::ext {

void register_filters_limits(base::Registry& registry) {
  registry.add("limits", flow::FilterFactory{[] { return std::make_unique<LimitsFilter>(); }});
}

}  // namespace penstock::ext
