#!/usr/bin/env python3
"""Holds the OpenAPI document against its standard, its own examples, and a running server.

usage: check.py STEPFLOW [SECONDS]

The server runs in a directory of its own, as an unprivileged user where that is possible, with a
PATH that holds three harmless programs; hooks.py replaces every generated command by one of them.
"""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import jsonschema
import openapi_spec_validator

HERE = pathlib.Path(__file__).resolve().parent
NOBODY = 65534
# A 400 is documented for every route: "valid by the schema" is more than a schema can say (a
# command that needs a shell, `from_line` together with `tail`).
LEFT_OUT = ["positive_data_acceptance"]


class Socket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def send(path, method, target, body=None):
    connection = Socket(path)
    text = None if body is None else json.dumps(body)
    connection.request(method, target, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def ask(path, method, target, body=None):
    status, data = send(path, method, target, body)
    assert status < 300, (target, status, data)
    return json.loads(data) if data else None


def check_document(document):
    openapi_spec_validator.validate(document)
    examples = 0
    media = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                media += [(f"{method} {path} {status}", one) for one in answer.get("content", {}).values()]
            body = operation.get("requestBody", {"content": {}})
            media += [(f"{method} {path} body", one) for one in body["content"].values()]
    for where, one in media:
        schema = {**one["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator.check_schema(schema)
        if "example" in one:
            examples += 1
            errors = list(jsonschema.Draft202012Validator(schema).iter_errors(one["example"]))
            assert not errors, f"{where}: {errors[0].message} at {list(errors[0].absolute_path)}"
    print(f"OpenAPI {document['openapi']}: valid; {len(document['paths'])} paths, "
          f"{examples} examples fit their schemas")


def check_empty(control, document, known):
    """`?name=` must be refused wherever the schema refuses an empty text."""
    asked = 0
    for path, item in document["paths"].items():
        operation = item.get("get", {"parameters": []})
        for parameter in operation.get("parameters", []):
            schema = {**parameter["schema"], "components": document["components"]}
            texts = jsonschema.Draft202012Validator(schema)
            if parameter["in"] != "query" or texts.is_valid("") or path == "/ws":
                continue
            target = path
            for name, value in (("id", known["executions"][0]), ("aid", known["artifacts"][0])):
                target = target.replace("{" + name + "}", value)
            target = f"{target}?{parameter['name']}="
            status = send(control, "GET", target)[0]
            assert status == 400, f"{target}: {status}, where the schema refuses an empty text"
            asked += 1
    print(f"{asked} empty parameters that no schema allows are refused")


def as_lists(value):
    """The value, once for each object in it, with that object as the list of its values."""
    if isinstance(value, dict):
        yield list(value.values())
        for key, inner in value.items():
            for one in as_lists(inner):
                yield {**value, key: one}
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            for one in as_lists(inner):
                yield value[:at] + [one] + value[at + 1:]


def check_lists(control, document, known):
    """A list in an object's place must be refused: libraries like to read the one as the other."""
    asked = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody", {"content": {}})["content"].get("application/json")
            if body is None or "example" not in body:
                continue
            schema = {**body["schema"], "components": document["components"]}
            target = path.replace("{id}", known["executions"][0])
            for one in as_lists(body["example"]):
                assert not jsonschema.Draft202012Validator(schema).is_valid(one), (target, one)
                status = send(control, method.upper(), target, one)[0]
                assert 400 <= status < 500, f"{method} {target} {one}: {status}"
                asked += 1
    assert asked > 8, asked
    print(f"{asked} lists in the place of an object are refused")


def main():
    program, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "75"
    directory = pathlib.Path(tempfile.mkdtemp(prefix="stepflow-openapi-"))
    server = None
    try:
        (directory / "bin").mkdir()
        for name in ("true", "false", "echo"):
            os.symlink(shutil.which(name), directory / "bin" / name)
        shutil.copy(program, directory / "stepflow")
        (directory / "home").mkdir()
        nobody = {}
        if os.geteuid() == 0:
            nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(directory / "home", NOBODY, NOBODY)
            directory.chmod(0o755)
        storage = directory / "home" / "storage"
        server = subprocess.Popen(
            [directory / "stepflow", "--storage", storage, "serve", "--listen", "127.0.0.1:0",
             "--max-running", "20"],
            env={"PATH": str(directory / "bin"), "HOME": str(directory / "home")},
            cwd=directory / "home", stderr=subprocess.PIPE, text=True, **nobody)
        url = server.stderr.readline().split("listening on ")[1].strip()
        for _ in range(2):
            server.stderr.readline()
        log = open(directory / "server.log", "w", encoding="utf-8")
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=log)
        control = str(storage / "run" / "server.sock")
        document = ask(control, "GET", "/api/openapi.json")
        check_document(document)

        # Something to be found: an execution with a step and an artifact.
        script = "echo STEP_START:a; echo x > f.html; echo ARTIFACT:f.html; echo STEP_COMPLETE:a"
        made = ask(control, "POST", "/api/executions?wait=1",
                   {"command": script, "shell": True, "working_directory": str(directory / "home")})
        for _ in range(200):
            artifacts = ask(control, "GET", f"/api/artifacts/execution/{made['id']}")["artifacts"]
            if artifacts:
                break
            time.sleep(0.05)
        token = ask(control, "POST", "/api/tokens", {"name": "check", "scope": "operator"})["token"]
        known = {"executions": [made["id"]], "artifacts": [one["id"] for one in artifacts]}
        check_empty(control, document, known)
        check_lists(control, document, known)
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE),
                       "STEPFLOW_KNOWN": json.dumps(known)}
        tool = str(pathlib.Path(sys.executable).with_name("schemathesis"))
        # The route `/ws` is no request and answer; a login code is for the Unix socket.
        command = [tool, "run", f"{url}/api/openapi.json", "--checks", "all",
                   "--exclude-checks", ",".join(LEFT_OUT), "--phases", "examples,coverage,fuzzing",
                   "--max-time", seconds, "--workers", "1", "--max-examples", "200",
                   "--continue-on-failure", "--request-timeout", "30", "--warnings", "off",
                   "--exclude-path", "/ws", "--header", f"Authorization: Bearer {token}",
                   "--seed", os.environ.get("STEPFLOW_TEST_SEED", "20261122"), "--no-color",
                   "--suppress-health-check", "all"]
        done = subprocess.run(command, env=environment, cwd=directory, check=False)
        # It is still the same process, and it is well.
        assert server.poll() is None, "the server has ended"
        assert ask(control, "GET", "/api/health")["status"] == "healthy"
        ran = ask(control, "GET", "/api/executions?limit=1000")
        harmless = {"true", "false", "echo x", f"/bin/sh -c {script}"}
        for execution in ran["executions"]:
            if execution["source"] == "ingest":
                continue  # Sent, not run.
            command = execution["command"].removeprefix("/bin/sh -c ")
            assert command in harmless or execution["command"] in harmless, execution["command"]
        print(f"{ran['total_count']} executions ran, all of them harmless")
        if done.returncode != 0:
            log.flush()
            print((directory / "server.log").read_text()[-4000:])
        return done.returncode
    finally:
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
