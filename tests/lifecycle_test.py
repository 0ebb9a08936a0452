"""Start, reload, drain, crash: what an operator relies on."""

import json
import re
import signal
import socket
import threading
import time

import harness
from harness import check, equal, until


def config(mock, models="chat"):
    lines = "".join(f"  {name}: {{ route: [ {{ to: lab/small }} ] }}\n" for name in models.split())
    return f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\nmodels:\n{lines}"


def test_logs_are_json_lines_and_standard_output_is_the_ready_line():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        gateway.chat()
        equal(gateway.stop(), 0)
        equal(len(gateway.lines), 1, gateway.lines)
        lines = gateway.log().splitlines()
        check(lines, "no log")
        for line in lines:
            check(isinstance(json.loads(line), dict), line)


def test_health_says_alive_and_ready():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        equal(gateway.request("GET", "/healthz").status, 200)
        equal(gateway.request("GET", "/readyz").status, 200)


def test_sigterm_lets_a_running_stream_finish():
    with harness.Mock("--tokens", "40", "--per-token", "25ms") as mock, harness.Gateway(config(mock)) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True)) as answer:
            events = answer.events()
            first = next(events)
            gateway.send(signal.SIGTERM)
            rest = [data for _, data in events]
            check(first and rest[-1] == b"[DONE]", "the stream was cut:", rest[-1:])
            equal(sum(b'"content"' in data for data in rest + [first[1]]), 41, "chunks with text and the one with the role:")
        equal(gateway.wait(), 0, "exit status:")


def test_sigint_ends_an_idle_gateway():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        gateway.send(signal.SIGINT)
        equal(gateway.wait(), 0, "exit status:")


def test_sighup_reloads():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        equal(gateway.chat("second").status, 404)
        gateway.write(config(mock, "chat second"))
        gateway.send(signal.SIGHUP)
        until(lambda: gateway.chat("second").status == 200, "the new model")
        equal(gateway.chat("chat").status, 200)


def test_a_changed_file_is_reloaded():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        gateway.write(config(mock, "chat third"))
        until(lambda: gateway.chat("third").status == 200, "the new model")
        gateway.write(config(mock, "third"))
        until(lambda: gateway.chat("chat").status == 404, "the removed model to be gone")


def test_a_reload_does_not_disturb_a_running_stream():
    with harness.Mock("--tokens", "40", "--per-token", "25ms") as mock, harness.Gateway(config(mock)) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True)) as answer:
            events = answer.events()
            next(events)
            gateway.write(config(mock, "other"))
            gateway.send(signal.SIGHUP)
            until(lambda: gateway.request("GET", "/v1/models/other").status == 200, "the new model")
            equal([data for _, data in events][-1], b"[DONE]")


def test_a_bad_file_changes_nothing_and_is_reported():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        gateway.write(config(mock, "chat fourth") + "providrs: {}\n")
        gateway.send(signal.SIGHUP)
        until(lambda: re.search(r"penstock\.yaml:\d+:\d+", gateway.log()), "file:line:column in the log")
        check("providers" in gateway.log(), "no 'did you mean providers'")
        equal(gateway.chat("chat").status, 200)
        equal(gateway.chat("fourth").status, 404)
        gateway.write(config(mock, "chat fourth"))
        until(lambda: gateway.chat("fourth").status == 200, "the mended file to be loaded")


def start_failing(text, wanted):
    path = harness.folder() / "bad.yaml"
    path.write_text(text)
    status, out, err = harness.command("run", "--config", str(path), "--data-dir", str(path.parent / "data"))
    equal(status, wanted, out, err)
    check("ready" not in out, out)
    return out + err


def test_bad_configuration_is_exit_status_2_with_place_and_hint():
    base = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
    said = start_failing(base + "providrs: {}\n", 2)
    check(re.search(r"bad\.yaml:3:1\b", said) and "did you mean" in said.lower() and "providers" in said, said)
    said = start_failing(base + "models:\n  chat:\n    route:\n      - { to: nolab/x }\n", 2)
    check(re.search(r"bad\.yaml:6:\d+", said) and "nolab" in said, said)
    said = start_failing(base + "models: {\n", 2)
    check(re.search(r"bad\.yaml:\d+:\d+", said), said)
    said = start_failing(base + "keys:\n  - { name: a, secret: \"${NO_SUCH_VARIABLE_HERE}\" }\n", 2)
    check("NO_SUCH_VARIABLE_HERE" in said, said)
    said = start_failing("listen: 0.0.0.0:0\nadmin: 127.0.0.1:0\n", 2)
    check("insecure" in said, said)
    status, out, err = harness.command("run", "--config", "/nonexistent/penstock.yaml")
    equal(status, 2, out, err)
    status, out, err = harness.command("rnu")
    equal(status, 2, out, err)


def test_check_says_the_same_and_prints_the_plan():
    folder = harness.folder()
    good, bad = folder / "good.yaml", folder / "bad.yaml"
    good.write_text("providers:\n  lab: { type: openai, base_url: http://127.0.0.1:9/v1, api_key: sk-hidden-0001 }\n"
                    "models:\n  chat: { route: [ { to: lab/small } ] }\n")
    bad.write_text("modells: {}\n")
    status, out, err = harness.command("check", str(good))
    equal(status, 0, out, err)
    check("chat" in out and "lab/small" in out, "the plan:", out)
    check("sk-hidden-0001" not in out + err, "the plan shows a secret")
    status, out, err = harness.command("check", str(bad))
    equal(status, 2, out, err)
    check("bad.yaml:1:1" in out + err and "models" in out + err, out, err)


def test_a_port_in_use_is_an_error_that_names_it():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        said = start_failing(f"listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:0\n", 1)
        check(str(port) in said and "in use" in said, said)


def test_kill_loses_at_most_the_last_300_ms_of_usage():
    with harness.Mock() as mock:
        total = 0
        data_dir = None
        for _ in range(3):
            with harness.Gateway(config(mock), data_dir=data_dir) as gateway:
                data_dir = gateway.data_dir
                for _ in range(20):
                    equal(gateway.chat().status, 200)
                total += 20
                time.sleep(0.3)
                # Under way at the moment of the kill: may be counted or lost, must not damage anything.
                noise = threading.Thread(target=make_noise, args=(gateway,))
                noise.start()
                gateway.kill()
                noise.join()
            stored = harness.stored_usage(data_dir)
            check(stored >= total, stored, "rows of usage instead of", total)
            total = stored
        with harness.Gateway(config(mock), data_dir=data_dir) as gateway:
            equal(gateway.chat().status, 200)
            equal(gateway.stop(), 0)
        equal(harness.stored_usage(data_dir), total + 1, "usage after a clean end:")


def make_noise(gateway):
    try:
        for _ in range(1000):
            gateway.chat()
    except OSError:
        pass
    except Exception as error:  # http.client has its own family
        check(not gateway.alive(), error)


if __name__ == "__main__":
    harness.run(globals())
