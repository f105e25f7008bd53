#!/usr/bin/env python3
"""A training run, without any library: StepFlow reads what it prints."""
import json
import random
import sys
import time

random.seed(7)
print("META:MODEL:tiny-net")

print("STEP_START:Load data")
for part in range(1, 4):
    print(f"loading part {part} of 3")
    time.sleep(0.05)
print("STEP_COMPLETE:Load data")

print("STEP_START:Train [duration=1]")
loss = 1.0
for epoch in range(1, 11):
    loss *= 0.75 + random.random() * 0.1
    print(f"epoch {epoch:2d}  loss {loss:.4f}")
    time.sleep(0.05)
print("META:FINAL_LOSS:%.4f" % loss)
print("STEP_COMPLETE:Train")

print("STEP_START:Save")
with open("stepflow-metrics.json", "w", encoding="utf-8") as file:
    json.dump({"loss": round(loss, 4), "epochs": 10}, file)
print("ARTIFACT:stepflow-metrics.json:Metrics of the run")
print("STEP_COMPLETE:Save")
print("done", file=sys.stderr)
