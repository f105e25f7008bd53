#!/usr/bin/env bash
# A small build, as StepFlow likes it: print a marker where a step begins and ends.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "META:project:demo"
echo "Checking the tools"

echo "STEP_START:Setup"
for tool in bash sed sort; do
    printf '  %-6s %s\n' "$tool" "$(command -v "$tool")"
    sleep 0.1
done
echo "STEP_COMPLETE:Setup"

echo "STEP_START:Build [duration=1]"
for number in $(seq 1 12); do
    printf 'compiling module %2d of 12\n' "$number"
    sleep 0.08
done
echo "STEP_COMPLETE:Build"

echo "STEP_START:Test"
for number in $(seq 1 20); do
    printf '\033[32mPASS\033[0m test %02d\n' "$number"
    sleep 0.03
done
printf '20 tests passed\n' > report.txt.tmp && mv report.txt.tmp stepflow-report.txt
echo "ARTIFACT:stepflow-report.txt:Test report"
echo "STEP_COMPLETE:Test"
echo "All done"
