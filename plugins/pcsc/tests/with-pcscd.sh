#!/bin/sh
# Runs a command with a pcscd of its own: vpcd's two virtual readers, in namespaces that nobody else sees.
#
#   with-pcscd.sh COMMAND [ARGUMENT...]     runs COMMAND; its exit status is this script's
#   with-pcscd.sh --pcscd                   inside: becomes a pcscd, after the earlier one died
#
# Virtual cards connect to 127.0.0.1:35963 (reader "Virtual PCD 00 00") and 35964 ("Virtual PCD 00 01").
# There is no other network, so build before. All processes end with the command.
# COMMAND finds in its environment:
#   PURSER_PCSCD_PID     the process to kill where pcscd shall die
#   PURSER_WITH_PCSCD    this script, for --pcscd
#
# Needs root (or CAP_SYS_ADMIN) for the namespaces, and the packages pcscd, vsmartcard-vpcd and iproute2.
# Exit status 125: the namespaces or pcscd could not be made; the reason stands on standard error.
set -eu

RUN=/run/pcscd
READER_CONF=/etc/reader.conf.d/vpcd
# pcscd listens within milliseconds; a machine under load gets this many tenths of a second.
PATIENCE=100

die() {
    echo "with-pcscd: $*" >&2
    exit 125
}

self() {
    echo "$(cd "$(dirname "$0")" && pwd)/$(basename "$0")"
}

become_pcscd() {
    rm -f "$RUN/pcscd.comm" "$RUN/pcscd.pid"
    exec pcscd --foreground --info --config "$RUN/reader.conf.d" >>"$RUN/pcscd.log" 2>&1
}

listens() {
    grep -q " 00010000 .*$RUN/pcscd.comm" /proc/net/unix && grep -q ':8C7B 00000000:0000 0A' /proc/net/tcp
}

inside() {
    ip link set lo up || die "the loopback device cannot be set up"
    mount -t tmpfs tmpfs "$RUN" || die "no tmpfs can be mounted over $RUN"
    mkdir "$RUN/reader.conf.d"
    cp "$READER_CONF" "$RUN/reader.conf.d/"
    PURSER_WITH_PCSCD=$(self)
    "$PURSER_WITH_PCSCD" --pcscd &
    PURSER_PCSCD_PID=$!
    export PURSER_WITH_PCSCD PURSER_PCSCD_PID
    tenths=0
    until listens; do
        [ "$tenths" -lt "$PATIENCE" ] && kill -0 "$PURSER_PCSCD_PID" 2>/dev/null ||
            die "pcscd does not listen: $(tail -5 "$RUN/pcscd.log")"
        tenths=$((tenths + 1))
        sleep 0.1
    done
    status=0
    "$@" || status=$?
    exit "$status"
}

outside() {
    [ $# -gt 0 ] || die "usage: with-pcscd.sh COMMAND [ARGUMENT...]"
    for program in unshare ip pcscd; do
        command -v "$program" >/dev/null || die "$program is missing: install util-linux, iproute2 and pcscd"
    done
    [ -f "$READER_CONF" ] || die "$READER_CONF is missing: install vsmartcard-vpcd"
    mkdir -p "$RUN" || die "$RUN cannot be made: run as root"
    namespaces="--net --mount --pid --fork --kill-child --mount-proc"
    # shellcheck disable=SC2086 # a list of options
    why=$(unshare $namespaces true 2>&1) || die "the namespaces cannot be made: $why; run as root, or with CAP_SYS_ADMIN"
    # shellcheck disable=SC2086
    exec unshare $namespaces "$(self)" --inside "$@"
}

case "${1-}" in
--pcscd) become_pcscd ;;
--inside)
    shift
    inside "$@"
    ;;
*) outside "$@" ;;
esac
