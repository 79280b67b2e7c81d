#compdef xen-blkback
# zsh completion for xen-blkback(8)

# Lists the vbds of the kernel, which answers at once even if xenstored hangs.
_xen_blkback_vbds() {
  local -a vbds
  vbds=(${XEN_BLKBACK_SYSFS:-/sys}/bus/xen-backend/devices/vbd-*-*(N:t))
  vbds=(${vbds#vbd-})
  vbds=(${vbds/-//})
  compadd -a vbds
}

_xen_blkback_domains() {
  local -aU domains
  domains=(${XEN_BLKBACK_SYSFS:-/sys}/bus/xen-backend/devices/vbd-*-*(N:t))
  domains=(${${domains#vbd-}%%-*})
  compadd -a domains
}

_xen_blkback_scripts() {
  local -aU scripts
  scripts=(block qubes-block /etc/xen/scripts/*block*(N*:t))
  compadd -a scripts
}

# Completes a path, the first key of a list, or the name of a mapper device.
_xen_blkback_targets() {
  local -a names
  local name
  if compset -P 'dm-name='; then
    for name in ${XEN_BLKBACK_SYSFS:-/sys}/block/dm-*/dm/name(N); do names+=("$(<$name)"); done
    compadd -a names
  elif compset -P 'path='; then
    _files
  else
    compadd -S '' -- path= dm-name= dm-uuid= diskseq=
    _files
  fi
}

_xen_blkback() {
  local curcontext=$curcontext state line
  local -a commands specs
  typeset -A opt_args
  commands=(
    # @COMMANDS@
    'help:tell more of one command'
  )
  _arguments -C \
    '(- *)'{-h,--help}'[print help]' \
    '(- *)--version[print the version]' \
    '1:command:->command' \
    '*::argument:->argument' && return 0
  case $state in
    command) _describe -t commands command commands ;;
    argument)
      case $words[1] in
      # @ARGUMENTS@
      help) _describe -t commands command commands; return ;;
      *) return 1 ;;
      esac
      _arguments -s $specs
      ;;
  esac
}

_xen_blkback "$@"
