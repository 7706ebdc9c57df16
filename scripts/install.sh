# Sourced by scripts/up, scripts/test and scripts/bench: what the machine lacks is installed, and named.
# shellcheck shell=bash

say() { printf '==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
in_box() { [ -n "${PODWRIGHT_BOX:-}" ]; }

man_pages=/usr/local/share/man/man1

# ensure_packages NEED=PACKAGE…: NEED is a command, or an absolute path. Nothing is asked of apt when nothing is missing.
ensure_packages() {
	local pair missing=()
	for pair in "$@"; do
		present "${pair%%=*}" || missing+=("${pair#*=}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	! in_box || die "this box has no way to install ${missing[*]}; run the same command outside first"
	[ "$(id -u)" = 0 ] || die "needs the Debian packages ${missing[*]}: sudo apt-get install ${missing[*]}"
	say "installing Debian packages: ${missing[*]}"
	apt-get update -qq || say "apt-get update failed; trying with the lists there are"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# offer_packages NEED=PACKAGE…: the same for what is good to have; whoever needs it says so when it is not there.
offer_packages() {
	! in_box && [ "$(id -u)" = 0 ] || return 0
	(ensure_packages "$@") || say "not installed: tests that need them are skipped"
}

present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
	esac
}

ensure_node_packages() {
	ensure_packages \
		/usr/lib/python3.11/ensurepip=python3-venv python3=python3 nft=nftables ip=iproute2 nsenter=util-linux mount=mount \
		sysctl=procps ping=iputils-ping conntrack=conntrack mkfs.ext4=e2fsprogs /etc/ssl/certs/ca-certificates.crt=ca-certificates
}

# ensure_venv DIRECTORY WHAT [PIP OPTION…]: a virtual environment with WHAT installed; made anew only when
# something that decides has changed, which the stamp holds as a hash. With --editable the sources do not.
ensure_venv() {
	local venv=$1 what=$2 stamp
	shift 2
	stamp=$({
		cat setup.cfg pyproject.toml
		echo "$what" "$@" "$PWD"
		/usr/bin/python3 --version
		[ "${1:-}" = --editable ] || find agent cni csi -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
	} | sha256sum)
	if [ "$(cat "$venv/podwright.stamp" 2>/dev/null)" = "$stamp" ]; then
		return 0
	fi
	! { in_box && [ -x "$venv/bin/podwright" ]; } || return 0
	! in_box || die "this box has no way to install Python packages; run the same command with --install-only outside first"
	say "installing Python packages into $venv"
	[ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv"
	rm -rf build # setuptools would install what an older build left there
	"$venv/bin/pip" install --quiet --disable-pip-version-check "$@" "$what"
	echo "$stamp" >"$venv/podwright.stamp"
}

# ── the agent where there is no systemd ──

pid_file=/run/podwright/supervise.pid
log_file=/var/log/podwright/agent.log

# pid_of_supervisor: nothing unless the process is really ours (a pid may have been used again)
pid_of_supervisor() {
	local pid
	pid=$(cat "$pid_file" 2>/dev/null) || return 0
	! grep -qs /opt/podwright/supervise "/proc/$pid/cmdline" || echo "$pid"
}

stop_supervised_agent() {
	local pid
	pid=$(pid_of_supervisor)
	[ -n "$pid" ] || return 0
	kill -TERM "$pid"
	for _ in $(seq 300); do
		[ -d "/proc/$pid" ] || return 0
		sleep 0.1
	done
	die "the agent did not stop within 30 s (supervisor $pid)"
}

agent_is_ready() {
	local python
	python=$(dirname "$(readlink -f /usr/local/bin/podwright)")/python
	[ -S /run/podwright/agent.sock ] || return 1
	"$python" -I -c 'from agent.api.client import Client; Client(timeout_s=2).request("GET", "/readyz")' 2>/dev/null
}

show_log() {
	if [ -d /run/systemd/system ]; then
		journalctl --unit podwright --no-pager --lines 30
	else
		tail -n 30 "$log_file"
	fi
}
