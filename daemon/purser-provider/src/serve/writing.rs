//! A connection that tells its leg of what it writes: a long answer on a slow line is under way for minutes, and the time in which
//! nothing is asked begins behind it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::leg::Leg;

/// See the module.
pub(super) struct Writing<S> {
    stream: S,
    leg: Arc<Leg>,
}

impl<S> Writing<S> {
    pub(super) fn new(stream: S, leg: Arc<Leg>) -> Self {
        Self { stream, leg }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Writing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Writing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.leg.wrote();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use purser_provider_link::call_back::{ChannelBinding, LegId};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_is_not_idle_while_a_slow_peer_takes_a_long_answer_and_is_behind_it() {
        let leg = Arc::new(Leg::new(LegId(1), None, ChannelBinding([0; 32]), false));
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut stream = Writing::new(ours, Arc::clone(&leg));
        let (any, pause) = (Duration::from_secs(2), Duration::from_millis(700));
        let answer = tokio::spawn(async move {
            stream.write_all(&[0; 80]).await.unwrap();
            stream
        });
        let taken = tokio::spawn(async move {
            let mut part = [0; 16];
            for _ in 0..5 {
                tokio::time::sleep(pause).await;
                theirs.read_exact(&mut part).await.unwrap();
            }
            theirs
        });
        let begun = tokio::time::Instant::now();
        leg.until_idle(any, any).await;
        // The fifth part is written when the fourth is taken.
        assert!(begun.elapsed() >= pause * 4 + any, "{:?}", begun.elapsed());
        let _ = (answer.await.unwrap(), taken.await.unwrap());
    }
}
