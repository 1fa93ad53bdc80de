# lib.sh: functions shared by the scripts in tools/ and test/. POSIX sh; sourced; $0 must be in one
# of these folders.

root=$(cd "$(dirname "$0")/.." && pwd)
python=/usr/bin/python3
debian_pg_config=/usr/lib/postgresql/15/bin/pg_config

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Find the pg_config to build with: the caller's PG_CONFIG, else Debian's PostgreSQL 15, else the
# one on the PATH.
find_pg_config() {
	if [ -z "${PG_CONFIG:-}" ]; then
		if [ -x $debian_pg_config ]; then PG_CONFIG=$debian_pg_config; else PG_CONFIG=$(command -v pg_config) || PG_CONFIG=; fi
	fi
	[ -n "$PG_CONFIG" ] && "$PG_CONFIG" --version >/dev/null 2>&1 || die "no pg_config: install PostgreSQL 15 with its headers, or set PG_CONFIG"
	export PG_CONFIG
}

# sub_make ARGUMENT...: run make in the project for PG_CONFIG, and for the compiler CC if set.
# Ignores the flags of a make that called this script.
sub_make() {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$root" --no-print-directory -j"$(nproc)" PG_CONFIG="$PG_CONFIG" ${CC:+"CC=$CC"} "$@"
}

# Install into the server of PG_CONFIG, with sudo if its folders are not writable.
install_extension() {
	if [ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]; then
		sub_make install
	else
		command -v sudo >/dev/null || die "cannot write to $("$PG_CONFIG" --pkglibdir): be root, or install sudo"
		sudo make -C "$root" --no-print-directory PG_CONFIG="$PG_CONFIG" COPT="${COPT:-}" install
	fi
}

# step LABEL COMMAND...: run a command that may take long. Its output goes to a log, which is shown
# if the command fails. Meanwhile a terminal shows the elapsed seconds and the last line of the log;
# other outputs show a dot every two seconds.
step() {
	step_label=$1
	shift
	step_log=$(mktemp)
	step_start=$(date +%s)
	[ -t 1 ] || printf '%-34s' "$step_label"
	"$@" >"$step_log" 2>&1 &
	step_pid=$!
	trap 'kill $step_pid 2>/dev/null; wait $step_pid; rm -f "$step_log"; exit 130' INT TERM HUP
	step_ticks=0
	while kill -0 $step_pid 2>/dev/null; do
		if [ -t 1 ]; then
			printf '\r\033[K%-34s%4d s  %.60s' "$step_label" $(($(date +%s) - step_start)) "$(tail -c 400 "$step_log" | tr '\r' '\n' | tail -n 1)"
		elif [ $((step_ticks % 10)) = 9 ]; then
			printf .
		fi
		step_ticks=$((step_ticks + 1))
		sleep 0.2
	done
	step_rc=0
	wait $step_pid || step_rc=$?
	trap - INT TERM HUP
	if [ -t 1 ]; then printf '\r\033[K%-34s' "$step_label"; fi
	if [ $step_rc = 0 ]; then
		printf '%5d s\n' $(($(date +%s) - step_start))
	else
		printf ' failed (exit %d)\n' $step_rc
		tail -n 60 "$step_log" >&2
	fi
	rm -f "$step_log"
	return $step_rc
}

# python_env SUITE FOLDER REQUIREMENTS [MODEL]: make a virtual environment with the packages of one or
# two files, the second of which has hashes and all dependencies that are wanted. Both are named
# requirements-*.txt, and a change of any in their folder makes it anew. Prints a TAP line and exits
# if PyPI cannot be reached, or if pip fails.
python_env() {
	cat "${3%/*}"/requirements-*.txt | cmp -s - "$2/complete" && return
	$python -m venv --clear "$2"
	if ! { pip_install "$2" -r "$3" && { [ $# = 3 ] || pip_install "$2" --no-deps --require-hashes -r "$4"; }; }; then
		cat "$2/pip.log" >&2
		if grep -qiE 'connection|timed out|name resolution|proxy' "$2/pip.log"; then
			echo "ok 1 - $1 # skip PyPI cannot be reached"
			exit 0
		fi
		echo "not ok 1 - pip installs $3${4:+ and $4}"
		exit 1
	fi
	cat "${3%/*}"/requirements-*.txt >"$2/complete"
}

pip_install() {
	pip_env=$1
	shift
	"$pip_env/bin/python" -m pip install -q --disable-pip-version-check --retries 2 "$@" >>"$pip_env/pip.log" 2>&1
}
