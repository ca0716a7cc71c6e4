#!/bin/sh
# embed.sh FILE... -- prints the assembly that puts the files into the program (see embed.h).
#
# Arguments must come in byte order of their paths (LC_ALL=C sort). A path may hold letters, digits
# and _ . / - only: it stands inside a quoted assembly string and a make rule.
set -eu
n=0
echo '.section .rodata'
for f in "$@"; do
  case $f in *[!A-Za-z0-9_./-]*) echo "embed: bad file name: $f" >&2 && exit 1 ;; esac
  echo "p$n: .asciz \"$f\""
  echo "d$n: .incbin \"$f\""
  echo "e$n: .byte 0"
  n=$((n + 1))
done
echo '.balign 8'
echo ".globl iz_embedded_count
iz_embedded_count: .quad $n"
# Pointers need relocation in a position-independent program: read-only after it.
echo '.section .data.rel.ro, "aw"
.balign 8
.globl iz_embedded_table
iz_embedded_table:'
i=0
while [ $i -lt $n ]; do
  echo ".quad p$i, d$i, e$i - d$i"
  i=$((i + 1))
done
echo '.section .note.GNU-stack, "", @progbits'
