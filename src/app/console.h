// The console page, embedded from ui/console.html.
#pragma once

#include <string_view>

namespace penstock::app {

extern const std::string_view kConsoleHtml;

}  // namespace penstock::app
