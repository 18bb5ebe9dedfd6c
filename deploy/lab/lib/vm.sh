# shellcheck shell=bash
# For scripts that boot a virtual machine with a whole pipeline in it. Sourced with $lab, the folder of `kernels`.

# pipeline_files FOLDER BINARY… - the pipeline, further binaries and what they are linked to, to lie over the first file system
pipeline_files() {
	local files=$1 target=${CARGO_TARGET_DIR:-$lab/../../target} binary library
	shift
	mkdir -p "$files"/{bin,lib64}
	for binary in tapio tapio-{network,memory,process,system,enricher,correlator,sink-otlp} "$@"; do
		strip -o "$files/bin/$binary" "$target/debug/$binary"
		ldd "$target/debug/$binary"
	done | awk '/=> \// { print $3 }' | sort -u | while read -r library; do
		install -D "$library" "$files$library"
	done
	cp "$lab/../../target/tools/nats-server" "$files/bin/"
	cp -L /lib64/ld-linux-x86-64.so.2 "$files/lib64/"
	install -m 755 /dev/stdin "$files/begin.sh" <<'BEGIN'
export PATH=/bin HOME=/tmp
mkdir -p /var/tmp /run /etc /tmp/www
echo 127.0.0.1 localhost >/etc/hosts
run() { # GROUP COMMAND…
	mkdir -p "/sys/fs/cgroup/$1"
	sh -c "echo \$\$ >/sys/fs/cgroup/$1/cgroup.procs; shift; exec \"\$@\"" run "$@" &
}
start_pipeline() {
	tapio up --start-timeout 300s >/tmp/up 2>&1 &
	until grep -q '^ready' /tmp/up; do sleep 1; done
	tapio incidents --follow >/tmp/told 2>&1 &
}
BEGIN
}

# a kernel of that line, which has to have been fetched
kernel_of() {
	"$lab/kernels" list | grep -m1 "^$1\." || true
}
