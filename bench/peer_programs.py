"""The peers of `./dev bench peers`: how each is started, as one would for production, on one core and without what it can do
without. `./dev bench-setup` puts those under .cache/peers that are not Debian packages; a row says why one is missing."""

import json
import re
import subprocess

import programs
import proxy
import servers

PEERS = programs.ROOT / ".cache" / "peers"
SLOW_START_SECONDS = 120
UPSTREAM_KEY = "sk-upstream-0000001"


def installed(name, program):
    """The path of a program below .cache/peers; Missing with the reason that was found when it was to be put there."""
    reason = PEERS / f"{name}.reason"
    if reason.exists():
        raise programs.Missing(reason.read_text().strip())
    if not (PEERS / program).exists():
        raise programs.Missing("not installed; ./dev bench-setup fetches it")
    return str(PEERS / program)


def version(name, command=None):
    """Of a Debian package's program by asking it, else what ./dev bench-setup wrote down."""
    if command is None:
        return (PEERS / f"{name}.version").read_text().strip()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)[0]


def start(command, core, log, port, environment=None):
    program = programs.Program(command, core, log, environment=environment)
    program.port = port
    try:
        programs.wait_for_port(port, program, SLOW_START_SECONDS)
    except RuntimeError:
        program.stop()
        raise
    return program


def envoy(folder, core, upstream):
    port = programs.free_port()

    def address(number):
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench", "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}
    limits = {"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}
    config = {"static_resources": {
        "listeners": [{"name": "clients", "address": address(port), "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{"name": "provider", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [limits]},
                      "load_assignment": {"cluster_name": "provider", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream.port)}}]}]}}]}}
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    command = [installed("envoy", "envoy/bin/envoy"), "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return start(command, core, folder / "envoy.log", port)


def caddy(folder, core, upstream):
    port = programs.free_port()
    forward = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream.port}"}], "flush_interval": -1,
               "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 1024}}}
    server = {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable": True}, "routes": [{"handle": [forward]}]}
    path = folder / "caddy.json"
    path.write_text(json.dumps({"admin": {"disabled": True, "config": {"persist": False}}, "apps": {"http": {"servers": {"bench": server}}}}))
    command = [installed("caddy", "caddy/caddy"), "run", "--config", str(path)]
    return start(command, core, folder / "caddy.log", port, programs.clean_environment(HOME=str(folder), XDG_DATA_HOME=str(folder)))


def portkey(folder, core, upstream):
    port = programs.free_port()
    script = installed("portkey", "portkey/node_modules/@portkey-ai/gateway/build/start-server.js")
    program = start([programs.need("node"), script, f"--port={port}", "--headless"], core, folder / "portkey.log", port,
                    programs.clean_environment(NODE_ENV="production"))
    program.headers = {**proxy.HEADERS, "x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream.port}/v1"}
    return program


def litellm(folder, core, upstream):
    port = programs.free_port()
    path = folder / "litellm.yaml"
    path.write_text(json.dumps({
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": {
            "model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{upstream.port}/v1", "api_key": UPSTREAM_KEY}}],
        "general_settings": {"master_key": proxy.KEY},
        "litellm_settings": {"telemetry": False, "set_verbose": False, "num_retries": 0}}))
    environment = programs.clean_environment(LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True",
                                             DISABLE_ADMIN_UI="True", HOME=str(folder))
    python = installed("litellm", "litellm/bin/python")
    script = installed("litellm", "litellm/bin/litellm")
    return start([python, script, "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
                 core, folder / "litellm.log", port, environment)


def sglang(folder, core, upstream):
    port, metrics = programs.free_port(), programs.free_port()
    command = [installed("sglang", "sglang/bin/python"), "-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", str(port),
               "--worker-urls", f"http://127.0.0.1:{upstream.port}", "--policy", "round_robin", "--max-concurrent-requests", "4096",
               "--prometheus-host", "127.0.0.1", "--prometheus-port", str(metrics), "--log-level", "error"]
    return start(command, core, folder / "sglang.log", port)


def bifrost(folder, core, upstream):
    port = programs.free_port()
    (folder / "config.json").write_text(json.dumps({
        "client": {"enable_logging": False, "drop_excess_requests": False, "initial_pool_size": 1000},
        "providers": {"openai": {
            "keys": [{"name": "bench", "value": UPSTREAM_KEY, "models": ["gpt-4o-mini"], "weight": 1.0}],
            "network_config": {"base_url": f"http://127.0.0.1:{upstream.port}"},
            "concurrency_and_buffer_size": {"concurrency": 1000, "buffer_size": 5000}}},
        "config_store": {"enabled": False}, "logs_store": {"enabled": False}}))
    command = [installed("bifrost", "bifrost/bifrost-http"), "-app-dir", str(folder), "-host", "127.0.0.1", "-port", str(port), "-log-level", "error"]
    program = start(command, core, folder / "bifrost.log", port)
    program.model = "openai/gpt-4o-mini"
    return program


# name: (how it is started, its version, what is on)
ALL = {
    "direct": (None, lambda: "", "the upstream without a proxy"),
    "penstock": (lambda folder, core, upstream: servers.penstock(folder, core, proxy.config(upstream)), lambda: "this tree",
                 "key check, limits, routing, usage, metrics, access log"),
    "nginx": (lambda folder, core, upstream: servers.nginx(folder, core, upstream.port, buffering=False),
              lambda: version("nginx", [programs.need("nginx"), "-v"]), "copies; proxy_buffering off, no log"),
    "haproxy": (lambda folder, core, upstream: servers.haproxy(folder, core, upstream.port),
                lambda: version("haproxy", [programs.need("haproxy"), "-v"]), "copies; no log"),
    "envoy": (envoy, lambda: version("envoy"), "copies; its counters, no log"),
    "caddy": (caddy, lambda: version("caddy"), "copies; no log"),
    "sglang router": (sglang, lambda: version("sglang"), "round robin over one worker, health checks, metrics"),
    "bifrost": (bifrost, lambda: version("bifrost"), "routing to one provider; no store, no log"),
    "portkey": (portkey, lambda: version("portkey"), "provider and address from headers; no key check, no log"),
    "litellm": (litellm, lambda: version("litellm"), "master key, routing; one worker, no database, no log"),
}
