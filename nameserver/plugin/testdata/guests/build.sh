#!/bin/sh
# Builds the guests of these tests, with Debian's clang-14 and lld-14. They are kept, so that the tests need no compiler.
set -eu
cd "$(dirname "$0")"
for source in *.c; do
	clang-14 --target=wasm32 -Os -Wall -Werror -nostdlib -ffreestanding -mbulk-memory -I../../../../sdk/c -fuse-ld=/usr/bin/wasm-ld-14 -Wl,--no-entry -Wl,--strip-all -o "${source%.c}.wasm" "$source"
done
