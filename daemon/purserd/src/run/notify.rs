//! What systemd is told. Nothing happens where nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Doors are open and the start is done.
pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The loop turned, and the journal answers.
pub(super) fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// The end has begun.
pub(super) fn stopping() {
    send(&[
        NotifyState::Stopping,
        NotifyState::Status("recording what is under way"),
    ]);
}

/// How often the loop should tell that it turns: three times in the time after which systemd gives up.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
