#!/usr/bin/env bash
# symbols_test.sh FOLDER: no program of FOLDER that loads libsentencepiece.so may take protobuf from it or offer it ours.
# The library carries protobuf 3.14 and exports it; a program bound to it by the wrong order of its link line mixes two
# versions and crashes. Skips (77) where no such program has been built.
set -u
status=77
for program in "$1"/*; do
  [[ -f $program && -x $program ]] || continue
  readelf -d "$program" 2>/dev/null | grep -q 'NEEDED.*libsentencepiece' || continue
  [[ $status == 77 ]] && status=0
  for kind in defined undefined; do
    count=$(nm -D -C "--$kind-only" "$program" | grep -c 'google::protobuf')
    if [[ $count != 0 ]]; then
      echo "$program: $count $kind dynamic symbols of google::protobuf, expected none"
      status=1
    fi
  done
done
exit $status
