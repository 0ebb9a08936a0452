// MQTT topic names and filters (MQTT 5.0 section 4.7).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::mqtt {

// Whether a subscription may use the filter; shared ones ($share/group/filter) included.
Result<void> check_filter(std::string_view filter);
// Whether a message may be published to the topic.
Result<void> check_topic(std::string_view topic);

// Level `index` of a topic, counted from 0; empty when there are fewer.
std::string_view level(std::string_view topic, std::size_t index);

// A filter without a leading $share/group/.
std::string_view without_share(std::string_view filter);
// Whether a filter (no shared one) takes a topic.
bool matches(std::string_view filter, std::string_view topic);

// Where the first `+` or `#` of a filter stands, without a leading $share/group/. Nothing when there is none.
std::optional<std::size_t> first_wildcard(std::string_view filter);

// A value as one topic level: `/`, `+`, `#` and control characters become `_`, an empty value `_`.
std::string as_level(std::string_view value);

}  // namespace penstock::mqtt
