//! A trace of several threads at once, in the order in which their calls began and ended.

use std::collections::BTreeMap;

use crate::Fault;

/// One call of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// Its arguments as strace shows them, with those that it filled in.
    pub arguments: String,
    /// What it returned; none where it had not returned when the trace ended.
    pub result: Option<String>,
    /// The line of the trace in which it began.
    pub began: usize,
    /// The line in which it returned.
    pub ended: usize,
}

impl Call {
    /// Whether it waited for a time, and the time is what it got. A wait for no time at all is none.
    pub fn is_wait_that_expired(&self) -> bool {
        let result = self.result.as_deref().unwrap_or("");
        let timeout = |words: &str| !words.contains("= -1") && result.starts_with('0') && !words.is_empty();
        match self.name.as_str() {
            "epoll_wait" | "epoll_pwait" => {
                let milliseconds = self.last_number(if self.name == "epoll_wait" { 0 } else { 2 });
                result.starts_with('0') && milliseconds.is_some_and(|time| time > 0)
            }
            "poll" | "ppoll" | "select" | "pselect6" => {
                result.contains("Timeout") && !self.arguments.contains("tv_sec=0, tv_nsec=0")
            }
            "futex" => result.contains("ETIMEDOUT"),
            "nanosleep" | "clock_nanosleep" => timeout(&self.arguments),
            // A blocking socket with a time limit. A look without taking is never blocking here.
            "recvfrom" => result.contains("EAGAIN") && !self.arguments.contains("MSG_PEEK"),
            _ => false,
        }
    }

    fn last_number(&self, from_end: usize) -> Option<i64> {
        let word = self.arguments.rsplit(", ").nth(from_end)?;
        word.trim().parse().ok()
    }
}

/// Reads what `strace -f -o` wrote: `TID NAME(ARGUMENTS) = RESULT`, or the two halves of a call that others interrupted.
///
/// # Errors
/// A line that is none of these: the trace was not understood.
pub fn calls(trace: &str) -> Result<Vec<Call>, Fault> {
    let mut open: BTreeMap<u32, Call> = BTreeMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let not_understood = || format!("not understood: {line}");
        let (thread, text) = line.split_once(' ').ok_or_else(not_understood)?;
        let (thread, text) = (thread.parse::<u32>()?, text.trim_start());
        if text.starts_with(['+', '-']) {
            continue;
        }
        if let Some(rest) = text.strip_prefix("<... ") {
            let Some(mut call) = open.remove(&thread) else {
                // It began before the trace did.
                continue;
            };
            let (_, rest) = rest.split_once("resumed>").ok_or_else(not_understood)?;
            let (arguments, result) = rest
                .rsplit_once(") ")
                .or_else(|| rest.rsplit_once(')'))
                .ok_or_else(not_understood)?;
            call.arguments += arguments;
            call.result = Some(result.trim_start().trim_start_matches("= ").to_owned());
            call.ended = number;
            calls.push(call);
            continue;
        }
        let (name, rest) = text.split_once('(').ok_or_else(not_understood)?;
        let mut call = Call {
            thread,
            name: name.to_owned(),
            arguments: rest.to_owned(),
            result: None,
            began: number,
            ended: number,
        };
        if let Some((arguments, _)) = rest
            .rsplit_once(" <unfinished ...>")
            .or_else(|| rest.rsplit_once("<detached ...>"))
        {
            call.arguments = arguments.to_owned();
            open.insert(thread, call);
            continue;
        }
        let (arguments, result) = split_result(rest).ok_or_else(not_understood)?;
        call.arguments = arguments.to_owned();
        call.result = Some(result.to_owned());
        calls.push(call);
    }
    calls.extend(open.into_values());
    calls.sort_by_key(|call| call.began);
    Ok(calls)
}

/// `ARGUMENTS) = RESULT`, with any number of spaces before the sign.
fn split_result(rest: &str) -> Option<(&str, &str)> {
    let (left, result) = rest.rsplit_once(" = ")?;
    Some((left.trim_end().strip_suffix(')')?, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
7 epoll_wait(8<anon_inode:[eventpoll]>, [], 1024, 0) = 0
7 epoll_wait(8<anon_inode:[eventpoll]>,  <unfinished ...>
9 futex(0x55, FUTEX_WAIT_BITSET_PRIVATE, 1, {tv_sec=5, tv_nsec=7}, FUTEX_BITSET_MATCH_ANY <unfinished ...>
7 <... epoll_wait resumed>[], 1024, 55998) = 0
9 <... futex resumed>)                    = -1 ETIMEDOUT (Connection timed out)
9 fsync(5</s/journal.db-wal>)             = 0
8 recvfrom(3<socket:[1]>, 0x7ffd, 1, MSG_PEEK, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 epoll_wait(8<anon_inode:[eventpoll]>,  <detached ...>
";

    #[test]
    fn halves_are_joined_and_expired_waits_are_known() {
        let calls = calls(TRACE).unwrap();
        let names: Vec<_> = calls
            .iter()
            .map(|call| (call.thread, call.name.as_str(), call.began, call.ended))
            .collect();
        assert_eq!(
            names,
            [
                (7, "epoll_wait", 0, 0),
                (7, "epoll_wait", 1, 3),
                (9, "futex", 2, 4),
                (9, "fsync", 5, 5),
                (8, "recvfrom", 6, 6),
                (7, "epoll_wait", 8, 8),
            ]
        );
        let expired: Vec<_> = calls.iter().map(Call::is_wait_that_expired).collect();
        assert_eq!(expired, [false, true, true, false, false, false]);
        assert_eq!(calls[3].result.as_deref(), Some("0"));
    }
}
