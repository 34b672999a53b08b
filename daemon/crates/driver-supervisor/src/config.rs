//! What the operator says about one driver instance.

use std::path::PathBuf;
use std::time::Duration;

/// One driver instance.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// The instance's name, for people: "counter reader".
    pub name: String,
    /// The shared object; its manifest lies beside it.
    pub path: PathBuf,
    /// The driver's own settings, a TOML document, perhaps empty.
    pub settings: String,
    /// How often it may be restarted.
    pub restarts: RestartPolicy,
    /// Time to load the driver and make the instance.
    pub start_time: Duration,
    /// Time to end the instance in order.
    pub stop_time: Duration,
}

impl DriverConfig {
    /// An instance with the usual times.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, settings: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            settings: settings.into(),
            restarts: RestartPolicy::default(),
            // Readers that load firmware take several seconds.
            start_time: Duration::from_secs(15),
            stop_time: Duration::from_secs(2),
        }
    }
}

/// How often, and how soon, a driver that died is started again.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// Most restarts within `window`; one more and the instance is failed until an operator acts.
    pub restarts_max: usize,
    /// The time that restarts are counted over.
    pub window: Duration,
    /// Wait before the first restart of a window; doubled for each further one.
    pub backoff_first: Duration,
    /// Longest wait.
    pub backoff_max: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            // A buyer's next tap finds the reader again; a driver that dies at each tap is taken out of the way.
            restarts_max: 10,
            window: Duration::from_secs(600),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
        }
    }
}

impl RestartPolicy {
    /// The wait before the restart that has this number in its window, counted from 1.
    pub(crate) fn backoff(&self, attempt: usize) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX)
            .min(16);
        self.backoff_first
            .saturating_mul(1 << doublings)
            .min(self.backoff_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let policy = RestartPolicy::default();
        assert_eq!(policy.backoff(1), Duration::from_millis(100));
        assert_eq!(policy.backoff(2), Duration::from_millis(200));
        assert_eq!(policy.backoff(5), Duration::from_millis(1600));
        assert_eq!(policy.backoff(500), Duration::from_secs(30));
    }
}
