#!/usr/bin/env python3
"""The figures of docs/performance.md, measured on this machine: `cargo xtask bench --figures`.

Everything is compared with something else in the same run, or counted; nothing here passes or fails.
Needs the release build with its examples, and room for 4 GB in the temporary directory.
STEPFLOW_BENCH_STORAGE names a storage for the lists that is there already.
"""
import asyncio
import base64
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("STEPFLOW_BUILD", ROOT / "target/release"))
STEPFLOW = str(BUILD / "stepflow")
PRINTER = str(BUILD / "examples/printer")


def timed(command, **more):
    begun = time.perf_counter()
    subprocess.run(command, check=True, **more)
    return time.perf_counter() - begun


def median(values):
    return statistics.median(values)


def capture(work):
    big = work / "big"
    line = b"the quick brown fox jumps over the lazy dog and runs away from the wolf 1234567\n"
    with open(big, "wb") as file:
        for _ in range(1000):
            file.write(line * 12_500)
    subprocess.run(["cat", str(big)], stdout=subprocess.DEVNULL, check=True)
    ratios = {"raw": [], "quiet": []}
    bases = []
    for _ in range(5):
        base = timed(f"cat {big} | cat > {work}/copy", shell=True)
        os.remove(work / "copy")
        bases.append(base)
        for output in ratios:
            storage = work / "storage"
            took = timed([STEPFLOW, "--storage", str(storage), "run", "--output", output, "--", "cat", str(big)],
                         stdout=subprocess.DEVNULL)
            shutil.rmtree(storage)
            os.sync()
            ratios[output].append(took / base)
    os.remove(big)
    print(f"capture of 1 GB: `cat | cat > copy` {median(bases):.2f} s; "
          + "; ".join(f"--output {name} {median(r):.2f} x (min {min(r):.2f}, max {max(r):.2f})" for name, r in ratios.items()))


def start(work):
    times = []
    storage = work / "storage"
    for _ in range(30):
        begun = time.time()
        out = subprocess.run([STEPFLOW, "--storage", str(storage), "run", "--output", "raw", "--", PRINTER, "1"],
                             check=True, capture_output=True, text=True).stdout
        times.append(int(out.split()[3]) / 1e6 - begun)
    print(f"start to the script's exec: median {median(times) * 1e3:.1f} ms, max {max(times) * 1e3:.1f} ms")
    shutil.rmtree(storage)


# Inside a step, 50,000 lines a second in blocks of 500; says how long it took, in microseconds.
LINES_SCRIPT = """
import sys, time
lines, rate, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
block = b"".join(b"line %06d of a step that prints a lot, and then some more\\n" % n for n in range(500))
out = open(1, "wb", buffering=0, closefd=False)
out.write(b"STEP_START:Print [id=p]\\n")
begun = time.perf_counter()
for done in range(500, lines + 1, 500):
    out.write(block)
    if rate:
        time.sleep(max(0, begun + done / rate - time.perf_counter()))
took = time.perf_counter() - begun
open(path, "w").write(str(took))
"""


def on_terminal(command):
    """Runs it on a terminal of 120 x 40 that is read as fast as it comes; the bytes it drew."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm-256color"})
    os.close(slave)
    drawn = frames = 0
    while True:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        drawn += len(piece)
        frames += piece.count(b"\x1b[?2026h")
    os.close(master)
    if child.wait() != 0:
        raise SystemExit(f"{command}: {child.returncode}")
    return drawn, frames


def tree(work):
    took = work / "took"
    for rate, lines in [(50_000, 250_000), (0, 2_000_000)]:
        script = [sys.executable, "-c", LINES_SCRIPT, str(lines), str(rate), str(took)]
        pairs = []
        for _ in range(3):
            subprocess.run(f"{shlex.join(script)} | cat > {work}/copy", shell=True, check=True)
            bare = float(took.read_text())
            run = [STEPFLOW, "--storage", str(work / "storage"), "run", "--output"]
            subprocess.run([*run, "quiet", "--", *script], check=True)
            quiet = float(took.read_text())
            drawn, frames = on_terminal([*run, "tree", "--", *script])
            shown = float(took.read_text())
            pairs.append((shown / bare, shown / quiet, lines / shown, frames / shown, drawn / shown / 1e3))
            shutil.rmtree(work / "storage")
        to_bare, to_quiet, speed, frames, drawn = map(median, zip(*pairs))
        asked = f"{rate:,} lines/s" if rate else "as fast as it can"
        print(f"tree on a terminal, a script that prints {asked}: its own time {to_bare:.2f} x that of `script | cat > file`, "
              f"{to_quiet:.2f} x that with --output quiet; {speed:,.0f} lines/s, {frames:.1f} frames/s, {drawn:.0f} kB/s drawn")


def lists(work):
    """What a person waits for a list of 100,000 executions: the whole program, from start to end."""
    source = os.environ.get("STEPFLOW_BENCH_STORAGE")
    storage = pathlib.Path(source) if source else work / "storage"
    if not source:
        subprocess.run([str(BUILD / "examples/generate"), str(storage), "100000"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([STEPFLOW, "--storage", str(storage), "upgrade", "--json"], check=True, stdout=subprocess.DEVNULL)
    nothing = []
    for _ in range(20):
        nothing.append(timed([STEPFLOW, "--version"], stdout=subprocess.DEVNULL))
    said = []
    for flags in [[], ["--json"], ["-n", "1000"], ["--status", "failed"], ["--search", "no such name"],
                  ["--longer-than", "1s", "--not", "exit=0"]]:
        times = []
        for _ in range(20):
            times.append(timed([STEPFLOW, "--storage", str(storage), "ls", *flags], stdout=subprocess.DEVNULL))
        said.append(f"`ls {' '.join(flags)}`".replace(" `", "`") + f" {median(times) * 1e3:.1f} ms (max {max(times) * 1e3:.1f})")
    print(f"100,000 executions: {'; '.join(said)}; `--version` {median(nothing) * 1e3:.1f} ms")
    if not source:
        shutil.rmtree(storage)


def recorder_memory(work):
    storage = work / "storage"
    command = [STEPFLOW, "--storage", str(storage), "run", "--detach", "--", "sh", "-c",
               "head -c 1000000000 /dev/zero; sleep 3"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    time.sleep(0.2)
    pids = [p for p in os.listdir("/proc") if p.isdigit()]
    peak = 0
    for _ in range(20):
        for pid in pids:
            try:
                line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"__record" in line and str(storage).encode() in line:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    peak = max(peak, int(status.split("VmHWM:")[1].split()[0]))
            except (OSError, IndexError):
                pass
        time.sleep(0.1)
    subprocess.run([STEPFLOW, "--storage", str(storage), "cancel", "--all"], check=True, stdout=subprocess.DEVNULL)
    print(f"recorder, 1 GB in one line: peak resident {peak / 1024:.1f} MiB")
    time.sleep(1)
    shutil.rmtree(storage, ignore_errors=True)


class Server:
    def __init__(self, work):
        self.storage = work / "storage"
        self.process = subprocess.Popen(
            [STEPFLOW, "--storage", str(self.storage), "serve", "--listen", "127.0.0.1:0", "--auth", "off"],
            stderr=subprocess.PIPE, text=True)
        self.url = self.process.stderr.readline().split()[-1]
        self.host, port = self.url.removeprefix("http://").split(":")
        self.port = int(port)

    def request(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)

    def anonymous_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0])

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.storage, ignore_errors=True)


def creates(server):
    results = []

    def one(number):
        results.append(server.request("/api/executions", {"command": ["echo", str(number)]}))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(100)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = time.perf_counter() - begun
    ids = [answer["id"] for status, answer in results if status == 201]
    while True:
        _, counts = server.request("/api/executions/statistics")
        if counts["by_status"]["completed"] >= len(ids):
            break
        time.sleep(0.02)
    print(f"100 creates at once: {len(ids)} x 201 in {accepted:.2f} s, all completed after {time.perf_counter() - begun:.2f} s")


async def stream(server, identity, latencies, counts):
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 20)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write((f"GET /ws HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
    await reader.readuntil(b"\r\n\r\n")
    payload = json.dumps({"op": "subscribe", "sub": 1, "topic": "execution", "id": identity, "lines": True}).encode()
    mask = os.urandom(4)
    head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else bytes([0x81, 0xFE]) + len(payload).to_bytes(2, "big")
    writer.write(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))
    while True:
        first, second = await reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await reader.readexactly(8), "big")
        data = await reader.readexactly(size)
        now = time.time()
        if first & 0x0F != 1:
            continue
        message = json.loads(data)
        if message["op"] == "lines":
            for line in message["lines"]:
                counts[identity] = counts.get(identity, 0) + 1
                latencies.append(now - int(line["text"].split()[3]) / 1e6)
        elif message["op"] == "end":
            writer.close()
            return


def streams(server, count=200):
    async def all_of_them():
        latencies, counts = [], {}
        identities = []
        for _ in range(count):
            # The viewer is there before the first line: the printer waits a moment.
            command = ["sh", "-c", f"sleep 4; exec {PRINTER} 100 10"]
            _, answer = await asyncio.to_thread(server.request, "/api/executions", {"command": command})
            identities.append(answer["id"])
        await asyncio.gather(*(stream(server, identity, latencies, counts) for identity in identities))
        return identities, latencies, counts

    identities, latencies, counts = asyncio.run(all_of_them())
    latencies.sort()
    complete = sum(1 for identity in identities
                   if server.request(f"/api/executions/{identity}?logs=0")[1]["execution"]["status"] == "completed")
    recorded = sum(server.request(f"/api/executions/{identity}?logs=0")[1]["execution"]["lines"] for identity in identities)
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1e3
    print(f"{count} scripts x 10 lines/s x 10 s: {complete} completed, {recorded} lines recorded, {sum(counts.values())} received over "
          f"WebSocket; line to client p50 {at(.5):.0f} ms, p99 {at(.99):.0f} ms, max {latencies[-1] * 1e3:.0f} ms")


def main():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    print(f"{os.cpu_count()} cores, {cpu}, Linux {os.uname().release}")
    work = pathlib.Path(tempfile.mkdtemp(prefix="stepflow-bench-"))
    try:
        # `cargo xtask bench --figures`: all; `figures.py tree start`: these.
        alone = {"capture": capture, "start": start, "tree": tree, "lists": lists, "memory": recorder_memory}
        chosen = sys.argv[1:]
        for name, measure in alone.items():
            if not chosen or name in chosen:
                measure(work)
        if chosen:
            return
        server = Server(work)
        time.sleep(1)
        print(f"idle server: {server.anonymous_kib() / 1024:.1f} MiB anonymous resident")
        creates(server)
        streams(server)
        print(f"server after that: {server.anonymous_kib() / 1024:.1f} MiB anonymous resident")
        server.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
