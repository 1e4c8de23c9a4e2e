#!/bin/sh
# Builds the fuzz targets and runs each for a while, from its seeds and with the dictionary.
#
#   fuzz/run.sh [TARGET|all] [SECONDS]     5 seconds each when not told otherwise
#
# SANITIZER=none measures the speed without AddressSanitizer. CORPUS names a directory to keep the corpora
# in; without it nothing is kept but what crashes, in fuzz/artifacts/. Exits with 1 when something was
# found, with 2 when cargo-fuzz or a nightly compiler is missing.
set -eu
cd "$(dirname "$0")"

target=${1:-all}
seconds=${2:-5}
sanitizer=${SANITIZER:-address}
all="decode server peer pair"
[ "$target" = all ] && target=$all

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "run.sh: needs a nightly compiler: rustup toolchain install nightly --profile minimal" >&2
    exit 2
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "run.sh: needs cargo-fuzz: cargo +stable install cargo-fuzz --locked" >&2
    exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
triple=$(rustc -vV | sed -n 's/^host: //p')

# A target directory of its own, so that other builds and this one do not undo each other.
work=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$work/fuzz-$sanitizer"
# One by one: what is no target (`seeds`) does not link with the instruments.
for name in $target; do
    cargo +nightly fuzz build --fuzz-dir . --target "$triple" --sanitizer "$sanitizer" --release "$name" >&2
done
binaries=$CARGO_TARGET_DIR/$triple/release
CARGO_TARGET_DIR=$work cargo build --quiet --bin seeds
failed=0

printf '%-8s %9s %11s %11s %11s %11s %9s\n' target exec/s 'seeds cov' 'seeds ft' 'end cov' 'end ft' sanitizer
for name in $target; do
    "$work/debug/seeds" "$name" "$scratch/seeds-$name"
    corpus=${CORPUS:-$scratch/corpus}/$name
    mkdir -p "$corpus" "artifacts/$name"
    log=$scratch/$name.log
    status=0
    "$binaries/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=1300 -entropic=0 \
        -dict=dict/pinhole.dict -artifact_prefix="artifacts/$name/" -print_final_stats=1 \
        "$corpus" "$scratch/seeds-$name" >"$log" 2>&1 || status=$?
    field() { sed -n "s/.*[[:space:]]$2 \(.*\)/\1/p" | sed -n "$1p" | cut -d' ' -f1; }
    inited=$(grep INITED "$log" | head -1)
    last=$(grep -E 'cov: ' "$log" | tail -1)
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    printf '%-8s %9s %11s %11s %11s %11s %9s\n' "$name" "${rate:--}" \
        "$(echo "$inited" | field 1 cov:)" "$(echo "$inited" | field 1 ft:)" \
        "$(echo "$last" | field 1 cov:)" "$(echo "$last" | field 1 ft:)" "$sanitizer"
    if [ "$status" -ne 0 ]; then
        failed=1
        echo "run.sh: $name ended with $status:" >&2
        grep -E 'panicked at|SUMMARY|Test unit written|ERROR: ' -A 2 "$log" >&2 || tail -20 "$log" >&2
        echo "run.sh: replay it with: cargo run --bin $name -- artifacts/$name/..." >&2
    fi
done
exit "$failed"
