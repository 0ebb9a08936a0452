// The APIs whose bodies pass through unread: moderations, images, rerank, audio, files and batches.
#pragma once

#include <memory>

#include "flow/dialect.h"
#include "llm/relay.h"

namespace penstock::ext {

void add_pass_through(flow::ApiBuilder& builder, std::shared_ptr<const llm::Relay> relay);

}  // namespace penstock::ext
