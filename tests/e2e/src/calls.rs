//! The calls of several threads, as one strace shows them: `strace -f -yy -ttt -T`.

use std::collections::BTreeMap;

use crate::Fault;

/// One call, from its entry to its return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// What it was given and what it gave back by its arguments, in strace's words.
    pub arguments: String,
    /// What it returned, in strace's words: `0`, `-1 ETIMEDOUT (Connection timed out)`. None where the trace ended first.
    pub result: Option<String>,
    /// The line of its entry. Lines are in the order in which things happened: strace lets a thread enter a call and
    /// return from it only when it has seen that.
    pub entered_at_line: usize,
    /// The line of its return.
    pub returned_at_line: usize,
    /// When it returned, in microseconds of Unix time.
    pub returned_at_us: u64,
}

impl Call {
    /// Whether it returned this error.
    pub fn failed_with(&self, error: &str) -> bool {
        self.result
            .as_deref()
            .and_then(|result| result.strip_prefix("-1 "))
            .is_some_and(|result| result.split(' ').next() == Some(error))
    }

    /// Whether it returned 0.
    pub fn returned_zero(&self) -> bool {
        self.result
            .as_deref()
            .is_some_and(|result| result.split(' ').next() == Some("0"))
    }

    /// What its first argument, a descriptor, leads to.
    pub fn object(&self) -> Option<&str> {
        let (_, link) = self.arguments.split_once('<')?;
        let end = link
            .find(">,")
            .unwrap_or_else(|| link.trim_end_matches('>').len());
        link.get(..end)
    }
}

/// Reads a trace. Calls come in the order of their returns; those that did not return come last.
///
/// # Errors
/// A line that is not understood: something might be missed.
pub fn read(trace: &str) -> Result<Vec<Call>, Fault> {
    let mut open: BTreeMap<u32, Call> = BTreeMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let parsed = take_line(number, line, &mut open);
        calls.extend(parsed.ok_or_else(|| format!("line {} is not understood: {line}", number + 1))?);
    }
    calls.extend(open.into_values());
    Ok(calls)
}

/// The call that this line completes, if it does.
fn take_line(number: usize, line: &str, open: &mut BTreeMap<u32, Call>) -> Option<Option<Call>> {
    let (thread, rest) = line.split_once(' ')?;
    let thread = thread.parse().ok()?;
    let (at, rest) = rest.trim_start().split_once(' ')?;
    let at_us = microseconds(at)?;
    if rest.starts_with("+++ ") || rest.starts_with("--- ") {
        return Some(None);
    }
    if let Some(resumed) = rest.strip_prefix("<... ") {
        let (name, rest) = resumed.split_once(" resumed>")?;
        let mut call = open.remove(&thread).filter(|call| call.name == name)?;
        let (arguments, result, _) = returned(rest)?;
        call.arguments.push_str(arguments);
        call.result = Some(result.to_owned());
        call.returned_at_line = number;
        call.returned_at_us = at_us;
        return Some(Some(call));
    }
    let (name, rest) = rest.split_once('(')?;
    let mut call = Call {
        thread,
        name: name.to_owned(),
        arguments: String::new(),
        result: None,
        entered_at_line: number,
        returned_at_line: usize::MAX,
        returned_at_us: u64::MAX,
    };
    let begun = rest
        .strip_suffix("<unfinished ...>")
        .or_else(|| rest.strip_suffix("<detached ...>"));
    if let Some(arguments) = begun {
        call.arguments = arguments.trim_end().to_owned();
        return open.insert(thread, call).is_none().then_some(None);
    }
    let (arguments, result, took_us) = returned(rest)?;
    call.arguments = arguments.to_owned();
    call.result = Some(result.to_owned());
    call.returned_at_line = number;
    call.returned_at_us = at_us.saturating_add(took_us);
    Some(Some(call))
}

/// `ARGUMENTS) = RESULT <SECONDS>`.
fn returned(rest: &str) -> Option<(&str, &str, u64)> {
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let (result, took) = result.strip_suffix('>')?.rsplit_once(" <")?;
    Some((arguments, result, microseconds(took)?))
}

/// `SECONDS.MICROSECONDS`.
fn microseconds(seconds: &str) -> Option<u64> {
    let (whole, part) = seconds.split_once('.')?;
    if part.len() != 6 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(part.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_another_thread_interrupts_is_put_together() {
        let trace = "\
7 100.000001 futex(0x1, FUTEX_WAIT_PRIVATE, 0, {tv_sec=1, tv_nsec=0} <unfinished ...>
8 100.000002 fdatasync(5</s/journal.db-wal>) = 0 <0.000100>
7 101.000003 <... futex resumed>) = -1 ETIMEDOUT (Connection timed out) <1.000002>
";
        let calls = read(trace).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!(
            (calls[0].name.as_str(), calls[0].returned_at_us),
            ("fdatasync", 100_000_102)
        );
        assert_eq!(calls[0].object(), Some("/s/journal.db-wal"));
        assert!(calls[0].returned_zero());
        assert!(calls[1].failed_with("ETIMEDOUT"));
        assert_eq!((calls[1].entered_at_line, calls[1].returned_at_line), (0, 2));
        assert_eq!(calls[1].returned_at_us, 101_000_003);
    }

    #[test]
    fn a_call_that_has_not_returned_has_no_result() {
        let calls = read("7 1.000000 epoll_wait(3<anon_inode:[eventpoll]>,  <detached ...>\n").unwrap();
        assert_eq!(calls[0].result, None);
    }

    #[test]
    fn lines_that_are_not_understood_are_errors() {
        for line in [
            "fsync(5) = 0",
            "7 1.000000 fsync(5",
            "7 1.0 fsync(5) = 0 <0.000001>",
            "7 1.000000 <... fsync resumed>) = 0 <0.000001>",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
