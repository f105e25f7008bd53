#!/usr/bin/env python3
"""Every function once: stepflow run -- python3 example.py"""
import asyncio
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent / "src"))  # As if it were installed.

from stepflow_markers import artifact, meta, progress, skip, step, track

meta("language", "python")

with step("Load", expected=2):
    for part in track(["a", "b", "c", "d"], text="part"):
        print("loading", part)

with step("Train", epochs=2):
    for epoch in (1, 2):
        with step(f"epoch {epoch}"):
            print("loss", 1 / epoch)
    progress(100, "done")


@step("Report")
def report() -> None:
    pathlib.Path("stepflow-report.txt").write_text("fine\n", encoding="utf-8")
    artifact(pathlib.Path("stepflow-report.txt"), "The report")


report()


@step("Fetch")
async def fetch() -> None:
    async def one(name: str) -> None:
        async with step(name):
            await asyncio.sleep(0)
            print(name, "fetched")

    await asyncio.gather(one("first"), one("second"))


asyncio.run(fetch())


def worker() -> None:
    with step("In a thread"):
        print("working")


thread = threading.Thread(target=worker)
thread.start()
thread.join()

try:
    with step("Fail"):
        raise ValueError("no data")
except ValueError:
    pass

skip("Deploy", "not on main")
