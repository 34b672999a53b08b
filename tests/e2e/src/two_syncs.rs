//! What a trace must show of one sale in steady state: two syncs, no wait that ran out, and "paid" told after both.

use std::collections::BTreeSet;

use crate::calls::Call;
use crate::{Fault, ensure};

/// The calls that strace has to show for [`judge`].
pub const CALLS: &str = "fsync,fdatasync,sync,syncfs,sync_file_range,msync,write,writev,pwritev2,sendto,sendmsg,sendmmsg,\
                         futex,?futex_waitv,?futex_wait,?epoll_wait,?epoll_wait_old,epoll_pwait,?epoll_pwait2,?poll,ppoll,?select,\
                         pselect6,?nanosleep,clock_nanosleep,?pause,rt_sigtimedwait,semtimedop,restart_syscall,setsockopt,ioctl,\
                         read,recvfrom,recvmsg,?accept,accept4,?io_uring_enter";

const SYNCS: [&str; 6] = ["fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync"];
const SENDS: [&str; 6] = ["write", "writev", "pwritev2", "sendto", "sendmsg", "sendmmsg"];
/// How a string of JSON that is the word paid looks inside of a string of strace.
const PAID: &str = "\\\"paid\\\"";

/// A sale that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoSyncs {
    /// What the two syncs were made on.
    pub on: [String; 2],
    /// How often "paid" was told.
    pub told: usize,
    /// Waits with a time limit that came to their end by what was waited for, or were still open.
    pub waits: usize,
}

/// Judges the trace of one sale, which begins before BeginSale and ends when the card is gone. The card was put into the
/// reader at `card_at_us`, in microseconds of Unix time.
///
/// # Errors
/// What was wrong, with the calls.
pub fn judge(calls: &[Call], card_at_us: u64) -> Result<TwoSyncs, Fault> {
    let syncs: Vec<&Call> = of(calls, &SYNCS).collect();
    ensure(calls.iter().all(|call| call.name != "io_uring_enter"), || {
        "there is a ring, whose syncs strace does not show".to_owned()
    })?;
    let [first, second] = syncs[..] else {
        return Err(format!("{} syncs instead of two: {syncs:#?}", syncs.len()).into());
    };
    ensure(first.returned_zero() && second.returned_zero(), || {
        format!("a sync failed: {syncs:#?}")
    })?;
    let told: Vec<&Call> = of(calls, &SENDS)
        .filter(|call| call.arguments.contains(PAID))
        .collect();
    let first_told = told
        .iter()
        .min_by_key(|call| call.entered_at_line)
        .ok_or("nobody is told that the sale is paid")?;
    let durable_at_line = first.returned_at_line.max(second.returned_at_line);
    ensure(durable_at_line < first_told.entered_at_line, || {
        format!("told before it was durable: {first_told:#?} with {syncs:#?}")
    })?;
    let window = card_at_us..=first_told.returned_at_us;
    ensure(!window.is_empty(), || {
        "paid was told before the card came".to_owned()
    })?;
    let expired = expired(calls);
    let in_window: Vec<&&Call> = expired
        .iter()
        .filter(|call| window.contains(&call.returned_at_us))
        .collect();
    ensure(in_window.is_empty(), || {
        format!("{} waits ran out: {in_window:#?}", in_window.len())
    })?;
    let waits = calls
        .iter()
        .filter(|call| window.contains(&call.returned_at_us) && has_limit(call));
    Ok(TwoSyncs {
        on: [first, second].map(|sync| sync.object().unwrap_or("everything").to_owned()),
        told: told.len(),
        waits: waits.count(),
    })
}

fn of<'a>(calls: &'a [Call], names: &'a [&str]) -> impl Iterator<Item = &'a Call> {
    calls.iter().filter(|call| names.contains(&call.name.as_str()))
}

/// The calls that returned because their time was over.
fn expired(calls: &[Call]) -> Vec<&Call> {
    let patient = patient_reads(calls);
    let is_expired = |call: &&Call| match call.name.as_str() {
        "futex" | "futex_wait" | "futex_waitv" => call.failed_with("ETIMEDOUT"),
        // A poll, a futex or a sleep that strace interrupted when it came.
        "restart_syscall" => call.returned_zero() || call.failed_with("ETIMEDOUT"),
        "epoll_wait" | "epoll_wait_old" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" | "select"
        | "pselect6" => call.returned_zero() && has_limit(call),
        "nanosleep" | "clock_nanosleep" => call.returned_zero(),
        "rt_sigtimedwait" | "semtimedop" => call.failed_with("EAGAIN"),
        "read" if call.object().is_some_and(|object| object.contains("[timerfd]")) => {
            !call.failed_with("EAGAIN")
        }
        "read" | "write" | "writev" | "recvfrom" | "recvmsg" | "sendto" | "sendmsg" | "accept"
        | "accept4" => call.failed_with("EAGAIN") && patient.contains(&(call.thread, call.entered_at_line)),
        _ => false,
    };
    calls.iter().filter(is_expired).collect()
}

/// The calls on sockets that have a time limit and are not told to answer at once, by thread and line.
fn patient_reads(calls: &[Call]) -> BTreeSet<(u32, usize)> {
    let mut in_order: Vec<&Call> = calls.iter().collect();
    in_order.sort_by_key(|call| call.entered_at_line);
    let (mut limited, mut at_once) = (BTreeSet::new(), BTreeSet::new());
    let mut patient = BTreeSet::new();
    for call in in_order {
        let Some(object) = call.object() else { continue };
        let arguments = call.arguments.as_str();
        if call.name == "setsockopt"
            && (arguments.contains("SO_RCVTIMEO") || arguments.contains("SO_SNDTIMEO"))
        {
            limited.insert(object);
        } else if call.name == "ioctl" && arguments.contains("FIONBIO, [1]") {
            at_once.insert(object);
        } else if call.name == "ioctl" && arguments.contains("FIONBIO, [0]") {
            at_once.remove(object);
        } else if limited.contains(object) && !at_once.contains(object) && !arguments.contains("MSG_DONTWAIT")
        {
            patient.insert((call.thread, call.entered_at_line));
        }
    }
    patient
}

/// Whether a call that waits is given a time limit other than 0, which is no wait.
fn has_limit(call: &Call) -> bool {
    let arguments = call.arguments.as_str();
    let after_list = || arguments.rsplit_once("], ").map(|(_, rest)| rest);
    let limit = match call.name.as_str() {
        // epoll_wait(3<…>, [], 1024, 20), epoll_pwait(3<…>, [], 1024, 20, NULL, 8)
        "epoll_wait" | "epoll_wait_old" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" => after_list()
            .and_then(|rest| rest.split_once(", "))
            .map(|(_, limit)| limit),
        "futex" => arguments.split_once(", {").map(|(_, limit)| limit),
        "select" | "pselect6" => arguments.rsplit_once(", {").map(|(_, limit)| limit),
        _ => None,
    };
    limit.is_some_and(|limit| {
        let is_endless = limit.starts_with("-1") || limit.starts_with("NULL");
        let is_none = limit == "0" || limit.starts_with("0,") || limit.contains("tv_sec=0, tv_nsec=0}");
        !is_endless && !is_none
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::read;

    const INTENT: &str = "20 100.200000 fdatasync(5</s/journal.db-wal>) = 0 <0.001000>\n";
    const EVIDENCE: &str = "20 100.400000 fdatasync(5</s/journal.db-wal> <unfinished ...>\n";
    const DURABLE: &str = "20 100.402000 <... fdatasync resumed>) = 0 <0.002000>\n";
    const WOKEN: &str = "10 100.410000 epoll_wait(3<anon_inode:[eventpoll]>, [{events=EPOLLIN, data=0x1}], 1024, 500) = 1 <0.010000>\n";
    const TOLD: &str = "10 100.500000 sendmsg(9<UNIX-STREAM:[7->8]>, {msg_iov=[{iov_base=\"{\\\"outcome\\\":\\\"paid\\\"}\\0\", iov_len=18}]}, 0) = 18 <0.000050>\n";
    const CARD_AT_US: u64 = 100_100_000;

    fn judged(lines: &[&str]) -> Result<TwoSyncs, String> {
        let calls = read(&lines.concat()).expect("the trace is well formed");
        judge(&calls, CARD_AT_US).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn is_refused(lines: &[&str], because: &str) {
        let error = judged(lines).expect_err("it must be refused");
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn a_good_sale_is_taken() {
        let sale = judged(&[INTENT, EVIDENCE, DURABLE, WOKEN, TOLD]).unwrap();
        assert_eq!(sale.on, ["/s/journal.db-wal", "/s/journal.db-wal"]);
        assert_eq!((sale.told, sale.waits), (1, 1));
    }

    #[test]
    fn paid_before_the_second_sync_returns_is_refused() {
        is_refused(&[INTENT, EVIDENCE, TOLD, DURABLE], "told before it was durable");
        is_refused(
            &[INTENT, TOLD, EVIDENCE, DURABLE, TOLD],
            "told before it was durable",
        );
    }

    #[test]
    fn one_sync_three_syncs_and_a_failed_sync_are_refused() {
        is_refused(&[INTENT, TOLD], "1 syncs");
        is_refused(&[INTENT, INTENT, EVIDENCE, DURABLE, TOLD], "3 syncs");
        let other = INTENT.replace("fdatasync", "sync_file_range");
        is_refused(&[INTENT, EVIDENCE, DURABLE, TOLD, &other], "3 syncs");
        let failed = INTENT.replace("= 0", "= -1 EIO (Input/output error)");
        is_refused(&[&failed, EVIDENCE, DURABLE, TOLD], "a sync failed");
    }

    #[test]
    fn a_sale_that_nobody_is_told_of_is_refused() {
        let unpaid = TOLD.replace("paid", "not_paid");
        is_refused(&[INTENT, EVIDENCE, DURABLE, &unpaid], "nobody is told");
    }

    #[test]
    fn any_wait_that_runs_out_is_refused() {
        for wait in [
            "futex(0x1, FUTEX_WAIT_BITSET_PRIVATE, 0, {tv_sec=9, tv_nsec=1}, FUTEX_BITSET_MATCH_ANY) = -1 ETIMEDOUT (Connection timed out)",
            "epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 20) = 0",
            "epoll_pwait(3<anon_inode:[eventpoll]>, [], 1024, 20, NULL, 8) = 0",
            "epoll_pwait2(3<anon_inode:[eventpoll]>, [], 1024, {tv_sec=0, tv_nsec=5}, NULL, 8) = 0",
            "ppoll([{fd=3<UNIX-STREAM:[1->2]>, events=POLLIN}], 1, {tv_sec=0, tv_nsec=5}, NULL, 8) = 0 (Timeout)",
            "poll([{fd=3<UNIX-STREAM:[1->2]>, events=POLLIN}], 1, 200) = 0 (Timeout)",
            "pselect6(4, [3], NULL, NULL, {tv_sec=0, tv_nsec=5}, NULL) = 0 (Timeout)",
            "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=0, tv_nsec=1000000}, NULL) = 0",
            "restart_syscall(<... resuming interrupted futex ...>) = -1 ETIMEDOUT (Connection timed out)",
            "read(3<anon_inode:[timerfd]>, \"\\1\", 8) = 8",
        ] {
            let wait = format!("11 100.300000 {wait} <0.010000>\n");
            is_refused(&[INTENT, &wait, EVIDENCE, DURABLE, TOLD], "1 waits ran out");
        }
        let limit = "11 100.290000 setsockopt(4<TCP:[1->2]>, SOL_SOCKET, SO_RCVTIMEO_OLD, \"x\", 16) = 0 <0.000010>\n";
        let read = "11 100.300000 recvfrom(4<TCP:[1->2]>, 0x1, 8, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable) <0.010000>\n";
        is_refused(&[INTENT, limit, read, EVIDENCE, DURABLE, TOLD], "1 waits ran out");
        let at_once = "11 100.295000 ioctl(4<TCP:[1->2]>, FIONBIO, [1]) = 0 <0.000010>\n";
        assert!(judged(&[INTENT, read, EVIDENCE, DURABLE, TOLD]).is_ok());
        assert!(judged(&[INTENT, limit, at_once, read, EVIDENCE, DURABLE, TOLD]).is_ok());
    }

    #[test]
    fn what_is_no_wait_or_runs_out_outside_of_the_window_is_taken() {
        let look = "11 100.300000 epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 0) = 0 <0.000010>\n";
        let before = "11 100.080000 epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 9) = 0 <0.010000>\n";
        let after = "11 100.600000 epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 9) = 0 <0.010000>\n";
        assert!(judged(&[before, INTENT, look, EVIDENCE, DURABLE, TOLD, after]).is_ok());
    }
}
