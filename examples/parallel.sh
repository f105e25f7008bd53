#!/usr/bin/env bash
# Steps inside steps, and steps side by side: those carry an id.
set -euo pipefail
compile() {
    echo "STEP_START:compile $1 [id=cc-$1][parent=build]"
    for unit in 1 2 3; do
        echo "$1: unit $unit of 3"
        sleep 0.1
    done
    echo "STEP_COMPLETE:compile $1 [id=cc-$1]"
}
echo "STEP_START:Build [id=build]"
compile api &
compile web &
compile worker &
wait
echo "STEP_COMPLETE:Build [id=build]"
echo "STEP_START:Package"
echo "3 parts packed"
echo "STEP_COMPLETE:Package"
