#include "app/guide.h"

namespace penstock::app {

std::string guide_text(const GatewayConfig& config, const GuideFacts& facts) {
  bool known = !config.keys.empty() && !config.keys.front().secrets.empty();
  std::string key = known ? std::string(config.keys.front().secrets.front().reveal()) : "";
  std::string auth = key.empty() ? "" : fmt::format(" -H 'Authorization: Bearer {}'", key);
  std::string out = fmt::format("\n  console  {}://{}/\n", config.admin.tls ? "https" : "http", facts.admin);
  if (!key.empty()) out += fmt::format("  API key  {}\n", key);
  if (!facts.llm.empty()) {
    out += fmt::format("\n  Chat, answered by {}:\n", facts.llm);
    out += fmt::format(
        "    curl -s http://{}/v1/chat/completions{} -H 'Content-Type: application/json' \\\n"
        "      -d '{{\"model\":\"chat\",\"messages\":[{{\"role\":\"user\",\"content\":\"What is an edge "
        "gateway?\"}}]}}'\n",
        facts.data, auth);
  }
  for (const infer::ModelConfig& model : config.models) {
    if (model.name != "digits") continue;
    out += "\n  A handwritten digit (a 7 the model never saw), classified in this process:\n";
    out += fmt::format("    curl -s http://{}/v2/models/digits/infer{} -d @configs/samples/digit_7.json\n", facts.data,
                       auth);
  }
  for (const std::string& pipeline : facts.pipelines) {
    out +=
        fmt::format("\n  Live samples and alarms of the pipeline '{}':\n    curl -sN http://{}/pipelines/{}/events{}\n",
                    pipeline, facts.data, pipeline, auth);
  }
  return out;
}

}  // namespace penstock::app
