//! How long the journal has kept its next answer waiting: a disk that hangs must not look like a daemon that works.

use std::time::Duration;

use tokio::time::Instant;

/// From when on the wait is told in the log: a commit takes milliseconds, and a worn flash disk that tidies up some seconds.
const LATE: Duration = Duration::from_secs(5);

/// From when on the watchdog is not fed any more: longer than a disk that still works pauses and than a commit waits for
/// other programs, and short enough that systemd starts anew, or tells that it cannot, within a minute.
const STUCK: Duration = Duration::from_secs(20);

/// The jobs that the journal has not answered, and how long it has been at the oldest of them.
#[derive(Debug, Default)]
pub(super) struct JournalWait {
    jobs: u64,
    /// When the oldest unanswered job was handed in, or the one before it answered, whichever was later.
    since: Option<Instant>,
    is_told: bool,
}

impl JournalWait {
    /// A job was handed in.
    pub(super) fn begin(&mut self, now: Instant) {
        self.jobs = self.jobs.saturating_add(1);
        self.since.get_or_insert(now);
    }

    /// The oldest job was answered.
    pub(super) fn end(&mut self, now: Instant) {
        self.jobs = self.jobs.saturating_sub(1);
        self.since = (self.jobs > 0).then_some(now);
        if std::mem::take(&mut self.is_told) {
            tracing::warn!("the journal answers again");
        }
    }

    /// True when every job is answered.
    pub(super) fn is_over(&self) -> bool {
        self.jobs == 0
    }

    /// When to call [`Self::tell`]; never twice in one wait.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_told).map(|since| since + LATE)
    }

    /// Tells that the journal is late.
    pub(super) fn tell(&mut self) {
        self.is_told = true;
        tracing::error!(
            jobs = self.jobs,
            "the journal has not answered for {} seconds; check the disk of the state folder",
            LATE.as_secs()
        );
    }

    /// True when the journal is not expected to answer any more.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.since
            .is_some_and(|since| now.saturating_duration_since(since) >= STUCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_journal_is_stuck_when_its_oldest_job_has_waited_too_long() {
        let start = Instant::now();
        let mut wait = JournalWait::default();
        assert!(wait.is_over() && !wait.is_stuck(start + STUCK * 100));
        wait.begin(start);
        wait.begin(start + STUCK - MOMENT);
        assert!(!wait.is_stuck(start + STUCK - MOMENT));
        assert!(wait.is_stuck(start + STUCK));
        wait.end(start + STUCK);
        assert!(!wait.is_over() && !wait.is_stuck(start + STUCK));
        wait.end(start + STUCK);
        assert!(wait.is_over() && !wait.is_stuck(start + STUCK * 100));
    }

    #[test]
    fn a_slow_journal_that_goes_on_answering_is_not_stuck() {
        let start = Instant::now();
        let mut wait = JournalWait::default();
        (0..100).for_each(|_| wait.begin(start));
        let mut now = start;
        for _ in 0..99 {
            now += STUCK - MOMENT;
            assert!(!wait.is_stuck(now));
            wait.end(now);
        }
        assert!(wait.is_stuck(now + STUCK));
    }

    #[test]
    fn lateness_is_told_once_in_each_wait() {
        let start = Instant::now();
        let mut wait = JournalWait::default();
        assert_eq!(wait.late_at(), None);
        wait.begin(start);
        assert_eq!(wait.late_at(), Some(start + LATE));
        wait.tell();
        assert_eq!(wait.late_at(), None);
        wait.begin(start + LATE);
        assert_eq!(wait.late_at(), None);
        wait.end(start + LATE * 2);
        assert_eq!(wait.late_at(), Some(start + LATE * 3));
    }
}
