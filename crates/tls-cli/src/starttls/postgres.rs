//! PostgreSQL's SSLRequest ("SSL Session Encryption" in the chapter on its protocol).

use tokio::io::{AsyncRead, AsyncWrite};

use super::Error;
use super::dialogue::Dialogue;

/// Its length, 8, and the code 1234 in the upper 16 bits, 5679 in the lower.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

pub(super) async fn negotiate<S>(dialogue: &mut Dialogue<'_, S>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    dialogue.send(&SSL_REQUEST).await?;
    let awaited = "an answer to SSLRequest (S or N)";
    match dialogue.byte(awaited).await? {
        b'S' => Ok(()),
        b'N' => Err(Error::NotOffered {
            by: "it answers N to SSLRequest",
        }),
        // An ErrorResponse, from a server that is very old or not the server: the documentation says not to show its
        // text (CVE-2024-10977).
        b'E' => Err(Error::Refused {
            what: "SSLRequest",
            answer: "E".to_owned(),
        }),
        other => Err(Error::Unexpected {
            awaited,
            answer: other.escape_ascii().to_string(),
        }),
    }
}
