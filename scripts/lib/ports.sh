# Sourced: who listens on a TCP port of this machine. Reads /proc, because iproute2 is not on every Debian.
# shellcheck shell=bash

# listening_inodes PORT: the socket inodes that listen on it, at any address.
listening_inodes() {
  local hex
  hex=$(printf '%04X' "$1")
  awk -v port=":$hex\$" '$2 ~ port && $4 == "0A" { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true
}

# port_holder PORT: prints who listens there and succeeds; fails when nobody does.
port_holder() {
  local inode link pid
  inode=$(listening_inodes "$1" | head -n 1)
  [ -n "$inode" ] || return 1
  link=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\\[$inode\\]" -print -quit 2>/dev/null || true)
  if [ -z "$link" ]; then
    printf 'a process of another user\n'
    return 0
  fi
  pid=${link#/proc/}
  pid=${pid%%/*}
  printf '%s (process %s)\n' "$(cat "/proc/$pid/comm" 2>/dev/null || echo 'a process')" "$pid"
}

# port_answers HOST PORT: something speaks memcached's text protocol there.
port_answers() (
  exec 2>/dev/null
  exec 3<>"/dev/tcp/$1/$2" || exit 1
  printf 'version\r\n' >&3
  read -r -t 2 reply <&3 || exit 1
  [[ $reply == VERSION* ]]
)
