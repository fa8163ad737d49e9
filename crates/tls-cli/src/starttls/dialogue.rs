//! Commands and answers in plain text.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Error;

/// What a server may say before TLS, in all: some hundred bytes are usual.
pub(super) const MAX_SAID: usize = 64 * 1024;

/// Reads and writes in turns.
pub(super) struct Dialogue<'a, S> {
    stream: &'a mut S,
    /// Received and not used yet.
    received: Vec<u8>,
    /// How much the server may still say.
    left: usize,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Dialogue<'a, S> {
    pub(super) fn new(stream: &'a mut S) -> Self {
        Self {
            stream,
            received: Vec::new(),
            left: MAX_SAID,
        }
    }

    /// Sends a command. What came in before it cannot be its answer.
    pub(super) async fn send(&mut self, command: &[u8]) -> Result<(), Error> {
        self.nothing_unasked()?;
        self.stream.write_all(command).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next line, without its CR LF.
    pub(super) async fn line(&mut self, awaited: &'static str) -> Result<String, Error> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(end.saturating_add(1));
                let line = core::mem::replace(&mut self.received, rest);
                // A line ends with both: who takes one for the other sees different lines than others do.
                let text = line.strip_suffix(b"\r\n").map(str::from_utf8);
                return match text {
                    Some(Ok(text)) => Ok(text.to_owned()),
                    _ => Err(Error::Unexpected {
                        awaited,
                        answer: String::from_utf8_lossy(&line).into_owned(),
                    }),
                };
            }
            self.receive(awaited).await?;
        }
    }

    /// The next byte.
    pub(super) async fn byte(&mut self, awaited: &'static str) -> Result<u8, Error> {
        while self.received.is_empty() {
            self.receive(awaited).await?;
        }
        Ok(self.received.remove(0))
    }

    /// Everything that came is used up.
    pub(super) fn nothing_unasked(&self) -> Result<(), Error> {
        match self.received.len() {
            0 => Ok(()),
            count => Err(Error::Unasked { count }),
        }
    }

    async fn receive(&mut self, awaited: &'static str) -> Result<(), Error> {
        let mut piece = [0; 1024];
        let count = self.stream.read(&mut piece).await?;
        let Some(said @ [_, ..]) = piece.get(..count) else {
            return Err(Error::Closed { awaited });
        };
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(Error::TooLong { limit: MAX_SAID })?;
        self.received.extend_from_slice(said);
        Ok(())
    }
}
