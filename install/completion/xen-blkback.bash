# bash completion for xen-blkback(8)                                      -*- shell-script -*-

_xen_blkback_words() { COMPREPLY=($(compgen -W "$1" -- "$current")); }
_xen_blkback_any() { COMPREPLY=(); }
_xen_blkback_files() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$current"))
}
_xen_blkback_directories() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -d -- "$current"))
}

# Lists the vbds of the kernel, which answers at once even if xenstored hangs.
_xen_blkback_vbds() {
  local vbd vbds=
  for vbd in "${XEN_BLKBACK_SYSFS:-/sys}"/bus/xen-backend/devices/vbd-*-*; do
    [[ -e $vbd ]] || continue
    vbd=${vbd##*/vbd-}
    vbds+=" ${vbd/-//}"
  done
  _xen_blkback_words "$vbds"
}
_xen_blkback_domains() {
  _xen_blkback_vbds
  COMPREPLY=($(printf '%s\n' "${COMPREPLY[@]%%/*}" | sort -un))
}
_xen_blkback_scripts() {
  local script scripts='block qubes-block'
  for script in /etc/xen/scripts/*block*; do
    [[ -x $script ]] && scripts+=" ${script##*/}"
  done
  _xen_blkback_words "$scripts"
}
# Completes a path, the first key of a list, or the name of a mapper device.
_xen_blkback_targets() {
  local name names=
  if [[ $key == dm-name ]]; then
    for name in "${XEN_BLKBACK_SYSFS:-/sys}"/block/dm-*/dm/name; do
      [[ -r $name ]] && names+=" $(<"$name")"
    done
    _xen_blkback_words "$names"
  elif [[ -z $key && -n $current && $current != /* ]]; then
    compopt -o nospace 2>/dev/null
    _xen_blkback_words 'path= dm-name= dm-uuid= diskseq='
  else
    _xen_blkback_files
  fi
}

_xen_blkback() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local options='--version --help' command='' key='' word
  # @COMMANDS@
  # readline splits --mode=r and dm-name=vg0-root into three words each.
  if [[ $current == = ]]; then
    key=$previous current=
  elif [[ $previous == = ]]; then
    key=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  [[ $key == --* ]] && previous=$key

  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $word != -* && " $commands " == *" $word "* ]]; then
      command=$word
      break
    fi
  done

  case $previous in
    # @VALUES@
  esac

  case $command in
    # @OPTIONS@
  esac
  if [[ $current == -* ]]; then
    _xen_blkback_words "$options"
    return
  fi

  case $command in
    '') _xen_blkback_words "$commands $options" ;;
    help) _xen_blkback_words "$commands" ;;
    # @ARGUMENTS@
  esac
}
complete -F _xen_blkback xen-blkback
