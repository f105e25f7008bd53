#!/usr/bin/env bash
# No marker at all: every line is kept all the same. Colours, a progress bar, odd bytes, long lines.
printf '\033[1;34m==>\033[0m a tool that knows nothing of StepFlow\n'
for percent in 10 40 70 100; do
    printf '\rdownloading %3d %%' "$percent"
    sleep 0.05
done
printf '\n'
printf 'bytes that are no text: \xff\xfe\x00 end\n'
printf '中文, emoji 🚀 and a link https://example.com/meta:latest\n'
head -c 5000 /dev/zero | tr '\0' 'x'
printf '\n'
seq -f 'line %g of noise' 1 500
printf 'a warning on standard error\n' >&2
printf 'no line end at the end'
