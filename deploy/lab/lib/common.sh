# shellcheck shell=bash
# What all parts of the lab use: saying things, waiting for a condition, starting and stopping by process id.

say() { echo "lab: $*" >&2; }

fail() { say "$*"; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || fail "has to run as root"; }

# Repeats a command until it succeeds, for a minute at most.
wait_for() {
  local tries=0
  until "$@" > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 240 ] || fail "gave up waiting for: $*"
    sleep 0.25
  done
}

# The id of a component that runs, or nothing. A reused id does not count: the name has to fit.
running() { # NAME BINARY
  local pid
  pid=$(cat "$LOG/$1.pid" 2> /dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "${2:0:15}" ] && echo "$pid"
}

spawn() { # NAME BINARY ARGUMENT...
  local name=$1
  shift
  nohup "$@" > "$LOG/$name.log" 2>&1 < /dev/null &
  echo $! > "$LOG/$name.pid"
}

# In a control group of its own, as systemd would put it.
as_service() { # NAME
  local hierarchy
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/memory /sys/fs/cgroup/unified; do
    [ -f "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/system.slice/$1.service"
    cat "$LOG/$1.pid" > "$hierarchy/system.slice/$1.service/cgroup.procs"
  done
}

gone() { [ ! -d "/proc/$1" ]; }

stop() { # NAME BINARY
  local pid
  pid=$(running "$1" "$2") || return 0
  kill "$pid"
  wait_for gone "$pid"
  rm -f "$LOG/$1.pid"
}
