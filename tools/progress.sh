# Sourced by the scripts beside it: one line of progress for a long command, its whole output only when it fails.

# run_with_progress LABEL LOG COMMAND...: on a terminal the line is rewritten in place, elsewhere one is added every 15 s.
run_with_progress() {
  local label=$1 log=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  local began=$SECONDS
  if "$@" </dev/null 2>&1 | tee "$log" | show_progress "$label"; then
    printf '%s: %d s\n' "$label" $((SECONDS - began))
    return 0
  fi
  printf '%s: FAILED after %d s; the end of %s:\n' "$label" $((SECONDS - began)) "$log" >&2
  tail -n 60 "$log" >&2
  return 1
}

show_progress() {
  local label=$1 line shown=-15 began=$SECONDS columns=80
  if [[ -t 1 ]]; then
    read -r _ columns < <(stty size </dev/tty 2>/dev/null) || true
    ((columns > 1)) || columns=80
  fi
  while IFS= read -r line; do
    if [[ -t 1 ]]; then
      line="$label: $line"  # wider than the terminal it could not be rewritten
      printf '\r\033[K%s' "${line:0:columns - 1}"
    elif ((SECONDS - began - shown >= 15)); then
      shown=$((SECONDS - began))
      printf '%s: %d s, %.100s\n' "$label" "$shown" "$line"
    fi
  done
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
}
