#include "ext/steps/window/window.h"

namespace penstock::ext::steps {

std::unique_ptr<ingest::Step> make_window(const config::Node& node, const ingest::StepContext& context) {
  auto settings = read_settings(node);
  if (!settings) return nullptr;
  switch (settings->kind) {
    case Settings::Kind::sliding:
    case Settings::Kind::count: return make_sliding_window(std::move(*settings), context);
    case Settings::Kind::session:
    case Settings::Kind::state: return make_session_window(std::move(*settings), context);
    default: return make_time_window(std::move(*settings), context);
  }
}

}  // namespace penstock::ext::steps
