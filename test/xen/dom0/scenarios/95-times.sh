# How long xl create waits for the hotplug script of one disk, from libxl's own words.
# shellcheck shell=bash

scenario times
times() {
  image times.img 'how long'
  measure "Xen's block" block
  measure 'block-diskseq, one-shot' block-diskseq
  start_daemon
  measure 'block-diskseq, daemon' block-diskseq
  stop_daemon
}

measure() { # WHAT SCRIPT
  local all=()
  SCRIPT=$2
  configure timed idle "$(disk xvda w "$IMAGES/times.img")"
  for _ in 1 2 3; do
    xl -vvv create "$RUN/timed.cfg" 2>&1 | stamp >"$RUN/stamps"
    all+=("$(script_seconds)")
    destroy timed
  done
  note "$1: ${all[*]} s"
}

stamp() { while IFS= read -r line; do echo "$EPOCHREALTIME $line"; done; }

# From "forking to execute" to the word that there is no further script to run.
script_seconds() {
  awk '/forking to execute: .* add/ { start = $1 } /not running hotplug scripts/ && start { end = $1; exit }
    END { printf "%.2f", end - start }' "$RUN/stamps"
}
