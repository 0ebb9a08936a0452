"""Telegraf, from `./dev bench-setup telegraf`, with the inputs and outputs that benchmarks use."""

import time

import peer_programs
import programs

FLUSH = "10ms"

AGENT = """
[agent]
  omit_hostname = true
  skip_processors_after_aggregators = true
  metric_batch_size = {batch}
  metric_buffer_limit = {buffer}
  flush_interval = "{flush}"
  {more}
"""

# JSON readings of devices. The topic of what goes out is one for all: its templates fail on what mqtt_consumer made.
MQTT_IN = """
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{port}"]
  topics = ["bench/in/+"]
  topic_tag = ""
  max_undelivered_messages = 100000
  data_format = "json"
  tag_keys = ["device"]
  json_string_fields = ["time"]
"""

MQTT_OUT = """servers = ["tcp://127.0.0.1:{port}"]
  topic = "bench/out/all"
  qos = 0
  keep_alive = 30
  data_format = "json"
"""


def start(folder, core, config, batch=1000, buffer=100_000, more="", flush=FLUSH):
    """Ready when it has started its inputs."""
    path = folder / "telegraf.conf"
    path.write_text(AGENT.format(batch=batch, buffer=buffer, more=more, flush=flush) + config)
    command = [peer_programs.installed("telegraf", "telegraf/telegraf"), "--config", str(path)]
    log = folder / "telegraf.log"
    program = programs.Program(command, core, log, environment=programs.clean_environment(HOME=str(folder)))
    end = time.monotonic() + programs.START_SECONDS
    while "Connected" not in log.read_text(errors="replace") and "Listening on" not in log.read_text(errors="replace"):
        if time.monotonic() > end or program.process.poll() is not None:
            program.stop()
            raise RuntimeError(f"telegraf does not start\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return program
