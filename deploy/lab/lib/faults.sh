# shellcheck shell=bash
# What the snippets of faults/ and controls/ may use besides kubectl. The campaign sets USERS_LOG (the users' log), STATE
# (a folder for what one snippet leaves for the next), SINCE (when the fault happened, UNIX seconds) and USERS_HOST.

# The runtime's ids of a workload's containers.
container_ids() { # NAMESPACE APP
  kubectl -n "$1" get pods -l "app=$2" -o jsonpath='{.items[*].status.containerStatuses[*].containerID}' |
    tr ' ' '\n' | sed 's|.*/||'
}

# Ids, in this host's numbers, of the main processes of a workload's containers: what kills them ends the container.
main_processes() { # NAMESPACE APP
  local id
  for id in $(container_ids "$1" "$2"); do container_processes "$id" | head -n 1; done
}

# The processes of a container by its control group, the oldest first.
container_processes() { # CONTAINER_ID
  local group
  group=$(find /sys/fs/cgroup -type d -path "*/kubepods*/$1" -print -quit)
  [ -n "$group" ] && sort -n "$group/cgroup.procs"
}

pod_addresses() { # NAMESPACE APP
  kubectl -n "$1" get pods -l "app=$2" -o jsonpath='{.items[*].status.podIP}'
}

# The last minutes of the users' log: enough for every fault, and quickly read.
recent_users() { tail -n 6000 "$USERS_LOG"; }

# Whether at least COUNT requests that ended since the fault were answered with a failure or not at all.
users_failed() { # COUNT
  [ "$(recent_users | jq -s --argjson since "$SINCE" '[.[] | select(.at + .seconds >= $since and .status != 200)] | length')" -ge "$1" ]
}

# Whether at least COUNT requests since the fault took longer than SECONDS.
users_waited() { # COUNT SECONDS
  [ "$(recent_users | jq -s --argjson since "$SINCE" --argjson bound "$2" '[.[] | select(.at + .seconds >= $since and .seconds > $bound)] | length')" -ge "$1" ]
}

# The fault of a snippet that does something else before it happens now.
fault_is_now() { date +%s.%N > "$STATE/at"; }

rolled_out() { # NAMESPACE WORKLOAD
  kubectl -n "$1" rollout status "$2" --timeout=90s > /dev/null
}

# How often the containers of a workload were started again.
restarts() { # NAMESPACE APP
  kubectl -n "$1" get pods -l "app=$2" -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}' |
    awk '{ for (i = 1; i <= NF; i++) sum += $i } END { print sum + 0 }'
}

# How many processes the kernel has killed for memory in the containers of a workload that run now.
oom_kills() { # NAMESPACE APP
  local id sum=0 kills
  for id in $(container_ids "$1" "$2"); do
    kills=$(find /sys/fs/cgroup -path "*/kubepods*/$id/*" \( -name memory.oom_control -o -name memory.events \) \
      -exec awk '$1 == "oom_kill" { print $2 }' {} +)
    sum=$((sum + ${kills:-0}))
  done
  echo "$sum"
}

# Keeps an object as it is for its undo, in a file of its name, without what only the API server may write.
saved() { # KIND NAMESPACE NAME
  kubectl -n "$2" get "$1" "$3" -o json |
    jq 'del(.metadata.uid, .metadata.resourceVersion, .metadata.creationTimestamp, .metadata.managedFields, .metadata.generation, .status)' > "$STATE/$3.json"
}

# Lets a container have QUOTA of each PERIOD, in microseconds; -1 is no limit.
cpu_quota() { # CONTAINER_ID PERIOD QUOTA
  local group
  group=$(find /sys/fs/cgroup -type d -path "*/kubepods*/$1" -exec test -e '{}/cpu.cfs_quota_us' ';' -print -quit)
  if [ -n "$group" ]; then
    echo -1 > "$group/cpu.cfs_quota_us"
    echo "$2" > "$group/cpu.cfs_period_us"
    echo "$3" > "$group/cpu.cfs_quota_us"
    return
  fi
  group=$(find /sys/fs/cgroup -type d -path "*/kubepods*/$1" -exec test -e '{}/cpu.max' ';' -print -quit)
  echo "${3/-1/max} $2" > "$group/cpu.max"
}
