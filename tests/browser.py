"""A headless Chromium for tests: the DevTools protocol over a pipe, Python's standard library only.

One Browser is one fresh profile and one page. Commands wait for their answer; what the page throws, logs as an error or
is refused by its content security policy is collected in `complaints`.
"""

import base64
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import time

import harness

PROGRAM = next((p for p in map(shutil.which, ["chromium", "chromium-browser", "google-chrome"]) if p), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--mute-audio",
         "--remote-debugging-pipe", "--window-size=1280,900", "about:blank"]
ANSWER_SECONDS = 60

# Runs before the page's own script.
WATCH = """
addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI));
"""


def _above(number, descriptor):
    """The descriptor moved out of the way of 3 and 4, which Chromium reads and writes."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, number)
    os.close(descriptor)
    return moved


class Browser:
    def __init__(self):
        commands, self.commands = (_above(50, d) for d in os.pipe())
        self.answers, answers = (_above(50, d) for d in os.pipe())

        def pipes():
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        self.log = open(harness.FOLDER / "chromium.log", "ab")
        self.process = subprocess.Popen([PROGRAM, f"--user-data-dir={harness.folder()}", *FLAGS], preexec_fn=pipes, pass_fds=(3, 4),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(commands)
        os.close(answers)
        self.rest = b""
        self.next_id = 0
        self.session = None
        self.complaints = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(domain + ".enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)

    def send(self, method, **parameters):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < end:
            answer = self._read()
            if answer.get("id") == self.next_id:
                harness.check("error" not in answer, method, answer.get("error"))
                return answer["result"]
        raise harness.Failure(f"Chromium did not answer {method}")

    def _read(self):
        while b"\0" not in self.rest:
            part = os.read(self.answers, 1 << 16)
            harness.check(part, "Chromium ended")
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(message)
        self._collect(message.get("method"), message.get("params", {}))
        return message

    def _collect(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.complaints.append(json.dumps(parameters["args"])[:500])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append("dialog " + parameters["message"])

    def open(self, url):
        self.send("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression in the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        harness.check("exceptionDetails" not in result, script, result.get("exceptionDetails"))
        return result["result"].get("value")

    def until(self, script, what, seconds=30):
        return harness.until(lambda: self.run(f"Boolean({script})"), what, seconds)

    def text(self, selector):
        """What is shown of the first element that fits, as a person reads it."""
        return self.run(f"(document.querySelector({json.dumps(selector)}) || {{innerText: ''}}).innerText")

    def size(self, width, height=900):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def colours(self, scheme):
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        if self.process.poll() is None:
            self.session = None
            try:
                self.send("Browser.close")
                self.process.wait(20)
            except (harness.Failure, OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        for descriptor in (self.commands, self.answers):
            os.close(descriptor)
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
