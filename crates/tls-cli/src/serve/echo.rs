//! Each line back, in one record.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// As much as a record holds (section 5.1): longer lines come back in pieces of this size.
const MAX_LINE: usize = 16 * 1024;

/// Returns each line as soon as it is complete, with its line feed, in one write; the last one may lack it. Ends when
/// the client closes its side, or when we are to stop and nothing more has come; gives the bytes returned.
pub(super) async fn echo<S: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut S,
    draining: &CancellationToken,
) -> io::Result<u64> {
    let mut line = Vec::new();
    let mut returned = 0_u64;
    loop {
        let available = tokio::select! {
            biased;
            available = stream.fill_buf() => available?,
            () = draining.cancelled() => &[],
        };
        let at_end = available.is_empty();
        let rest_of_line = available
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|end| end.saturating_add(1));
        let count = rest_of_line
            .unwrap_or(available.len())
            .min(MAX_LINE.saturating_sub(line.len()));
        line.extend_from_slice(available.get(..count).unwrap_or_default());
        stream.consume(count);
        if at_end || line.len() >= MAX_LINE || line.last() == Some(&b'\n') {
            if !line.is_empty() {
                stream.write_all(&line).await?;
                stream.flush().await?;
                returned = returned.saturating_add(line.len() as u64);
            }
            if at_end {
                return Ok(returned);
            }
            line.clear();
        }
    }
}
