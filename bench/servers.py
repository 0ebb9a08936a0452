"""The servers a benchmark puts between the load and the upstream, each on one thread, and the upstream itself.

Every one is a Program with a `port`. A server that only copies has everything switched off that is not needed for that.
"""

import re

import programs


def upstream(folder, core, **options):
    """build/fixed_upstream; options as in bench/fixed_upstream.cc, with underscores."""
    words = [word for name, value in options.items() for word in ("--" + name.replace("_", "-"), str(value))]
    program = programs.Program([str(programs.BUILD / "fixed_upstream"), *words], core, folder / "upstream.log",
                               r"fixed_upstream ready \S+:(\d+)")
    program.port = int(program.match[1])
    return program


def penstock_command(folder, config, threads=1, h2c=False):
    """A configuration file in `folder`, and the command that starts the gateway with it and an empty data folder."""
    path = folder / "penstock.yaml"
    config = re.sub(r"^(listen|admin|threads|data_dir):.*\n", "", config, flags=re.M)
    # The memory of what is measured is read from /proc, which a process hides from its own user otherwise.
    listen = "{ address: 127.0.0.1:0, h2c: true }" if h2c else "127.0.0.1:0"
    path.write_text(f"listen: {listen}\nadmin: 127.0.0.1:0\nthreads: {threads}\nsecurity: {{ core_dumps: true }}\n{config}")
    return [programs.BINARY, "run", "--config", str(path), "--data-dir", str(folder / "data")]


READY = r"penstock ready data=\S+?:(\d+) admin=\S+?:(\d+)"


def penstock(folder, core, config, h2c=False):
    program = programs.Program(penstock_command(folder, config, h2c=h2c), core, folder / "gateway.log", READY)
    program.port = int(program.match[1])
    program.admin_port = int(program.match[2])
    return program


def on_port(command, core, log, port, **more):
    """A program that says nothing when it is ready: its port answers."""
    program = programs.Program(command, core, log, **more)
    program.port = port
    try:
        programs.wait_for_port(port, program)
    except RuntimeError:
        program.stop()
        raise
    return program


def mosquitto(folder, core):
    """A broker that keeps nothing on disk and drops nothing."""
    port = programs.free_port()
    path = folder / "mosquitto.conf"
    path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nset_tcp_nodelay true\nmax_queued_messages 0\n")
    return on_port([programs.need("mosquitto"), "-c", str(path)], core, folder / "mosquitto.log", port)


def nginx_command(folder, port, upstream_port, buffering=True, connections=4096):
    path = folder / "nginx.conf"
    path.write_text(f"""
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx_error.log crit;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  client_body_buffer_size 128k;
  upstream provider {{ server 127.0.0.1:{upstream_port}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {"on" if buffering else "off"};
    }}
  }}
}}
""")
    return [programs.need("nginx"), "-c", str(path), "-p", str(folder), "-e", str(folder / "nginx_start.log")]


def nginx(folder, core, upstream_port, **options):
    """proxy_pass with kept connections and nothing else switched on."""
    port = programs.free_port()
    return on_port(nginx_command(folder, port, upstream_port, **options), core, folder / "nginx.log", port)


def haproxy_command(folder, port, upstream_port):
    path = folder / "haproxy.cfg"
    path.write_text(f"""
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  option http-keep-alive
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:{port} backlog 4096
  default_backend provider
backend provider
  server provider 127.0.0.1:{upstream_port} pool-max-conn 1024
""")
    return [programs.need("haproxy"), "-db", "-q", "-f", str(path)]


def haproxy(folder, core, upstream_port):
    """Forwarding with kept connections, no log, every piece sent at once."""
    port = programs.free_port()
    return on_port(haproxy_command(folder, port, upstream_port), core, folder / "haproxy.log", port)
