#!/bin/sh
# Every function once: stepflow run -- sh example.sh
set -e
. "$(dirname "$0")/stepflow.sh"

meta language shell

step "Prepare" echo "a directory, a few files"

step_begin "Test"
step "unit" sh -c 'echo "12 passed"'
step "browser" sh -c 'echo "3 passed"'
step_end

step_begin "Pack"
for percent in 25 50 75 100; do
    echo "file $percent"
    progress "$percent" "file $percent of 100"
done
echo "packed" > stepflow-packed.txt
artifact stepflow-packed.txt "What was packed"
step_end

step_skip "Deploy" "not on main"

(step "api" sh -c 'echo "api built"') &
(step "web" sh -c 'echo "web built"') &
wait
